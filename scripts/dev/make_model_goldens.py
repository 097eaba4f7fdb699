#!/usr/bin/env python3
"""Makes tests/goldens/models: tiny random decoder models and what Hugging Face's transformers computes with them.

A development script; nothing in the build or the tests calls it. It needs Python 3.11 and
    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy
usage: scripts/dev/make_model_goldens.py FOLDER [MODEL...]

A folder for each model: config.json (as saved by transformers), config_v4.json (the older names of the same settings),
model.safetensors, golden.safetensors and golden.json; tests/goldens/README.md says what is in them. Existing folders are
written over. The models, of two or four layers and a width of 32, have random weights (norms and biases too) from a seed.
"""
import json
import pathlib
import re
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SIZES = dict(vocab_size=160, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=1)
GATED = dict(SIZES, num_key_value_heads=2, attention_dropout=0.0)



def long_rope(original):
    """Phi-3 whose first training was on `original` tokens: a row of more has the long factors."""
    factors = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 3.0, 4.0]}
    rope = dict(ROPE, rope_type="longrope", partial_rotary_factor=1.0, original_max_position_embeddings=original, **factors)
    settings = dict(GATED, num_key_value_heads=4, original_max_position_embeddings=original, rope_parameters=rope)
    older = {"rope_theta": 10000.0, "original_max_position_embeddings": original,
             "rope_scaling": dict(factors, type="longrope")}
    return "Phi3Config", settings, older


def gemma3_with_pictures():
    """Gemma 3's text within a model that sees pictures; what it leaves out is what transformers' class has."""
    vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28,
                  patch_size=14)
    text = dict(GATED, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4, head_dim=8,
                query_pre_attn_scalar=16, sliding_window=8,
                rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                                 "sliding_attention": ROPE},
                layer_types=["sliding_attention", "full_attention"] * 2)
    settings = dict(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=159)
    return "Gemma3Config", settings, {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}


# name: configuration class, its settings, what config_v4.json says in place of rope_parameters
MODELS = {
    "gpt_neo": ("GPTNeoConfig",
                dict(vocab_size=160, hidden_size=32, intermediate_size=56, num_layers=2, num_heads=4,
                     max_position_embeddings=64, attention_types=[[["global", "local"], 1]], window_size=8,
                     bos_token_id=0, eos_token_id=0, pad_token_id=1), {}),
    "opt": ("OPTConfig",
            dict(vocab_size=160, hidden_size=32, ffn_dim=56, num_hidden_layers=2, num_attention_heads=4,
                 max_position_embeddings=64, dropout=0.0, bos_token_id=0, eos_token_id=0, pad_token_id=1), {}),
    "olmo2": ("Olmo2Config", dict(GATED, rope_parameters=dict(ROPE, rope_theta=500000.0)),
              {"rope_theta": 500000.0}),
    "phi3_longrope": long_rope(24),  # shorter than both rows, ...
    "phi3_longrope_short": long_rope(48),  # longer
    "gemma3_text": ("Gemma3TextConfig",
                    dict(GATED, num_hidden_layers=4, head_dim=8, query_pre_attn_scalar=16, sliding_window=8,
                         layer_types=["sliding_attention", "sliding_attention", "full_attention",
                                      "sliding_attention"],
                         rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0,
                                                             "rope_theta": 1000000.0},
                                          "sliding_attention": ROPE}),
                    {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
                     "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    "opt_350m": ("OPTConfig",
                 dict(vocab_size=160, hidden_size=32, ffn_dim=56, num_hidden_layers=2, num_attention_heads=4,
                      max_position_embeddings=64, dropout=0.0, bos_token_id=0, eos_token_id=0, pad_token_id=1,
                      word_embed_proj_dim=20, do_layer_norm_before=False), {}),
    "gemma2": ("Gemma2Config",  # caps low enough to matter
               dict(GATED, num_hidden_layers=4, head_dim=8, query_pre_attn_scalar=16, sliding_window=8,
                    attn_logit_softcapping=2.0, final_logit_softcapping=3.0, rope_parameters=ROPE),
               {"rope_theta": 10000.0}),
    "llama_dynamic_rope": ("LlamaConfig", dict(GATED, rope_parameters=dict(ROPE, rope_type="dynamic", factor=4.0)),
                           {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}),
    "gemma": ("GemmaConfig", dict(GATED, num_key_value_heads=1, head_dim=8, rope_parameters=ROPE),
              {"rope_theta": 10000.0, "hidden_act": "gelu"}),  # what the first files say
    "gemma3": gemma3_with_pictures(),
}


def make_inputs(generator):
    """Two rows of 40 tokens, the second padded on the right by 13."""
    ids = torch.randint(2, 160, (2, 40), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 27:] = 0
    ids[1, 27:] = 1
    return ids, mask, ids.masked_fill(mask == 0, -100)


def run(model, ids, mask, labels):
    model.zero_grad()
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    return out


def older_config(config, older):
    """The same settings under older names; those of a text_config lie within it, without what is the default anyway."""
    result = {k: v for k, v in config.items() if k not in ("rope_parameters", "dtype")}
    if "text_config" in config:
        defaults = transformers.Gemma3TextConfig().to_dict()
        text = {k: v for k, v in config["text_config"].items() if k not in defaults or v != defaults[k]}
        return dict(result, text_config=older_config(text, older))
    return {**result, **older, "torch_dtype": "float32"}


def drop_most_of_vision(path):
    """Leaves one tensor of each part that the text does without."""
    tensors = load_file(path)
    for part in ("vision_tower", "multi_modal_projector"):
        for name in sorted(n for n in tensors if re.search(rf"\b{part}\.", n))[1:]:
            del tensors[name]
    save_file(tensors, path)


def make(folder, name, seed):
    config_class, settings, older = MODELS[name]
    torch.manual_seed(seed)
    config = getattr(transformers, config_class)(**settings, dtype="float32")
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # far from their initial values, so that nothing cancels
        for parameter_name, parameter in model.named_parameters():
            spread = 0.1 if parameter.dim() == 1 else 0.15
            noise = torch.randn(parameter.shape, generator=generator) * spread
            is_norm = parameter.dim() == 1 and parameter_name.endswith("weight")
            parameter.copy_(noise + 1 if is_norm and not config_class.startswith("Gemma") else noise)
    out_folder = folder / name
    out_folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out_folder)
    (out_folder / "generation_config.json").unlink(missing_ok=True)
    config_v5 = json.loads((out_folder / "config.json").read_text())
    (out_folder / "config_v4.json").write_text(json.dumps(older_config(config_v5, older), indent=1))
    drop_most_of_vision(out_folder / "model.safetensors")

    ids, mask, labels = make_inputs(generator)
    out = run(model, ids, mask, labels)
    gradients = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    sums, exact_sums, difference = [], [], 0.0
    model.double()
    for row in range(2):  # each alone and without padding
        length = int(mask[row].sum())
        exact = model(input_ids=ids[row:row + 1, :length]).logits.detach()[0]
        difference = max(difference, float((exact.float() - out.logits[row, :length]).abs().max()))
        for logits, into in ((out.logits.detach()[row, :length].double(), sums), (exact, exact_sums)):
            logprobs = torch.log_softmax(logits[:-1], -1)
            into.append(float(logprobs.gather(1, ids[row, 1:length, None]).sum()))
    exact_loss = -sum(exact_sums) / float(mask[:, 1:].sum())
    save_file({"input_ids": ids, "attention_mask": mask, "labels": labels, "logits": out.logits.detach().contiguous(),
               **gradients}, out_folder / "golden.safetensors")
    (out_folder / "golden.json").write_text(json.dumps({
        "model": name, "transformers": transformers.__version__, "torch": torch.__version__, "attention": "eager",
        "seed": seed, "loss": float(out.loss), "loss_float64": exact_loss, "logprob_sums": sums,
        "max_abs_diff_float32_float64": difference,
        "grad_norms": {n.removeprefix("grad."): float(g.norm()) for n, g in gradients.items()}}, indent=1))
    print(f"{name}: loss {float(out.loss):.6f}, logits to {difference:.1e} of float64")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    wanted = sys.argv[2:] or list(MODELS)
    for name in wanted:
        make(pathlib.Path(sys.argv[1]), name, 200 + list(MODELS).index(name))


main()
