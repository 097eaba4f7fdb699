#!/usr/bin/env python3
"""Makes goldens of tests/goldens/encoders: tiny random encoders and what Hugging Face's transformers computes with them.

A development script; nothing in the build or the tests calls it. It needs Python 3.11 and
    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy
usage: scripts/dev/make_encoder_goldens.py GOLDENS [ENCODER...]     (GOLDENS: tests/goldens)

A folder for each encoder: config.json, model.safetensors, golden.json (the texts of roberta_tiny and long ones; max_length) and
golden.safetensors, each text run alone and unpadded through the tokenizer named below, cut to max_length: `input_ids` and
`attention_mask` int64 [texts, longest], `last_hidden_state` [texts, longest, width] (zero behind a text's end), and
[texts, width] of length 1 `embed_query` (mean), `embed_cls`, `embed_max` and `embed_average`: the mean of the vectors, before
their length becomes 1, of the parts that a long text is cut into, weighted by their tokens.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
# name: configuration class, its settings, tokenizer, max_length
ENCODERS = {
    "xlmr_tiny": ("XLMRobertaConfig", dict(SIZES, vocab_size=2002, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1,
                                           bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5), "xlmr_2000", 64),
    # long texts, so that distances reach the last bucket
    "mpnet_tiny": ("MPNetConfig", dict(SIZES, vocab_size=2000, max_position_embeddings=202, layer_norm_eps=1e-5),
                   "bert_uncased_2000", 200),
    # 5 layers: all, near, near, all, near
    "modernbert_tiny": ("ModernBertConfig", dict(SIZES, vocab_size=1000, num_hidden_layers=5, intermediate_size=48,
                                                 max_position_embeddings=128, local_attention=16, pad_token_id=0,
                                                 bos_token_id=0, eos_token_id=0, cls_token_id=0, sep_token_id=0),
                        "gpt2_1000", 100),
}


def unit(vector):
    return vector / vector.norm().clamp_min(1e-9)


def make(goldens, name, seed):
    config_class, settings, tokenizer_name, max_length = ENCODERS[name]
    torch.manual_seed(seed)
    config = getattr(transformers, config_class)(**settings, dtype="float32")
    config._attn_implementation = "eager"
    model = transformers.AutoModel.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # far from their initial values, so that nothing cancels
        for parameter_name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * (0.1 if parameter.dim() == 1 else 0.15)
            is_norm = parameter.dim() == 1 and parameter_name.endswith("weight")
            parameter.copy_(noise + 1 if is_norm else noise * 4 if "relative_attention_bias" in parameter_name else noise)
    folder = goldens / "encoders" / name
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)

    texts = json.loads((goldens / "encoders/roberta_tiny/golden.json").read_text())["texts"]
    texts = texts + [" ".join(texts)[:1500], "x"]
    tokenizer = Tokenizer.from_file(str(goldens / "tokenizers" / f"{tokenizer_name}.tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    front = len(tokenizer.encode("").ids) // 2  # special tokens are as many at either end
    rows, hidden, vectors = [], [], {key: [] for key in ("query", "cls", "max", "average")}

    def run(ids):
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).last_hidden_state[0]

    for text in texts:
        ids = tokenizer.encode(text).ids
        begin, inner, end = ids[:front], ids[front:len(ids) - front], ids[len(ids) - front:]
        room = max_length - 2 * front
        parts = [begin + inner[i:i + room] + end for i in range(0, max(len(inner), 1), room)]
        states = [run(part) for part in parts]
        rows.append(parts[0])
        hidden.append(states[0])
        vectors["query"].append(unit(states[0].mean(0)))
        vectors["cls"].append(unit(states[0][0]))
        vectors["max"].append(unit(states[0].max(0).values))
        vectors["average"].append(unit(sum(len(p) * s.mean(0) for p, s in zip(parts, states)) / sum(map(len, parts))))
    longest = max(map(len, rows))
    out = {"input_ids": torch.tensor([row + [1] * (longest - len(row)) for row in rows]),
           "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
           "last_hidden_state": torch.stack([torch.nn.functional.pad(h, (0, 0, 0, longest - len(h))) for h in hidden])}
    out.update({f"embed_{key}": torch.stack(value) for key, value in vectors.items()})
    save_file(out, folder / "golden.safetensors")
    (folder / "golden.json").write_text(json.dumps({
        "encoder": name, "transformers": transformers.__version__, "seed": seed, "max_length": max_length,
        "tokenizer": tokenizer_name, "texts": texts}, indent=0))
    print(f"{name}: {len(texts)} texts of up to {longest} tokens")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[2:] or list(ENCODERS):
        make(pathlib.Path(sys.argv[1]), name, 300 + list(ENCODERS).index(name))


main()
