#!/usr/bin/env python3
"""Fills in what transformers makes of the configurations in tests/goldens/published.

A development script; nothing in the build or the tests calls it. It needs Python 3.11 and
    pip install torch==2.15.0 transformers==5.23.0
usage: scripts/dev/count_published.py        (a minute; weights are never made)

Each line of the two files is {"name": of a checkpoint, "config": its published config.json}. Added to it: "parameters"
(of language models tied weights once and without vision; of encoders without pooler and heads), "positions", and
"sliding": how many layers see a window only.
"""
import json
import pathlib

import torch
import transformers

PUBLISHED = pathlib.Path(__file__).resolve().parents[2] / "tests" / "goldens" / "published"


def sliding_layers(config):
    kinds = getattr(config, "layer_types", None)
    if config.model_type == "gpt_neo":
        return config.attention_layers.count("local")
    if kinds is not None:
        return kinds.count("sliding_attention")
    return config.num_hidden_layers if getattr(config, "sliding_window", None) else 0


def facts(published, language_model):
    config = transformers.AutoConfig.for_model(**published)
    with torch.device("meta"):
        if language_model:
            model = transformers.AutoModelForCausalLM.from_config(config)
        elif config.model_type == "modernbert":
            model = transformers.AutoModel.from_config(config)
        else:
            model = transformers.AutoModel.from_config(config, add_pooling_layer=False)
    model.tie_weights()
    text = config.get_text_config()
    count = sum(p.numel() for n, p in model.named_parameters() if "vision" not in n and "multi_modal" not in n)
    return {"parameters": count, "positions": text.max_position_embeddings, "sliding": sliding_layers(text)}


def main():
    for name in ("language_models", "encoders"):
        path = PUBLISHED / f"{name}.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        lines = [json.dumps({"name": e["name"], **facts(e["config"], name == "language_models"), "config": e["config"]})
                 for e in entries]
        path.write_text("\n".join(lines) + "\n")


main()
