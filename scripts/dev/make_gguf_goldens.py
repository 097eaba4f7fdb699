#!/usr/bin/env python3
"""Makes tests/goldens/gguf: models of tests/goldens as GGUF files, and tensors of every type with what the reference reads.

A development script; nothing in the build or the tests calls it. It needs Python 3.11 and
    pip install gguf==0.19.0 numpy safetensors==0.8.0
usage: scripts/dev/make_gguf_goldens.py GOLDENS     (GOLDENS: tests/goldens)

Each MODEL of MODELS below becomes NAME.gguf as convert_hf_to_gguf.py of llama.cpp lays it out: queries and keys of Llama turned,
GPT-2's matrices transposed, GPT-NeoX's fused queries, keys and values apart, frequency factors in tensors, one added to Gemma's
norms. What such a file cannot say differs from the folder: query_pre_attn_scalar is a head's width. Some have a tokenizer of
tests/goldens/tokenizers: byte-level with its tokenizer.ggml.pre, or SentencePiece's, by scores. gemma_1700 is there as older converters
wrote it (gemma.gguf: the pieces as they are, of score 0) and as newer ones do (gemma3.gguf: user-defined runs of spaces as spaces, of
score -1000). types.gguf: a random tensor a type; types.safetensors: their values by gguf.dequantize.
"""
import json
import math
import pathlib
import re
import sys

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

LLAMA = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "model.embed_tokens": "token_embd", "model.norm": "output_norm",
         "lm_head": "output"}
GPT2 = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down", "transformer.wte": "token_embd", "transformer.wpe": "position_embd",
        "transformer.ln_f": "output_norm"}

PHI3 = {"input_layernorm": "attn_norm", "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
GEMMA2 = dict(LLAMA, **{"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
                        "post_feedforward_layernorm": "post_ffw_norm", "self_attn.q_norm": "attn_q_norm",
                        "self_attn.k_norm": "attn_k_norm"})
GPT_NEOX = {"input_layernorm": "attn_norm", "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
            "post_attention_layernorm": "ffn_norm", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
            "gpt_neox.embed_in": "token_embd", "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output"}


def name_of(name, names, layers):
    part, leaf = name.rsplit(".", 1)
    if name.startswith(layers):
        number, part = part[len(layers):].split(".", 1)
        return f"blk.{number}.{names[part]}.{leaf}"
    return f"{names[part]}.{leaf}"


def permute(weight, heads):
    """Of a head, (half, pair) rows become (pair, half)."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def add_sizes(writer, config):
    writer.add_context_length(config.get("max_position_embeddings") or config["n_positions"])
    writer.add_embedding_length(config.get("hidden_size") or config["n_embd"])
    writer.add_block_count(config.get("num_hidden_layers") or config["n_layer"])
    writer.add_feed_forward_length(config.get("intermediate_size") or config.get("n_inner") or 4 * config["n_embd"])
    writer.add_head_count(config.get("num_attention_heads") or config["n_head"])


def read_tokenizer(goldens, name):
    """tokenizer.json, its tokens by id, and which of them are added."""
    file = json.loads((goldens / f"tokenizers/{name}.tokenizer.json").read_text())
    ids = dict(file["model"]["vocab"])
    added = {token["id"]: token for token in file["added_tokens"]}
    ids.update({token["content"]: i for i, token in added.items()})
    return file, [content for content, _ in sorted(ids.items(), key=lambda item: item[1])], added


def add_byte_level(writer, goldens, name, pre):
    file, tokens, added = read_tokenizer(goldens, name)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([1 if i not in added else 3 if added[i]["special"] else 4 for i in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) if isinstance(merge, list) else merge for merge in file["model"]["merges"]])


def ranks(file):
    rank = {}
    for i, merge in enumerate(file["model"]["merges"]):
        rank.setdefault("".join(merge) if isinstance(merge, list) else merge.replace(" ", ""), i)
    return rank


def add_sentencepiece(writer, goldens, name):
    """Pieces with scores: what is merged earlier has the higher one."""
    file, tokens, added = read_tokenizer(goldens, name)
    rank = ranks(file)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(rank.get(content, 10**6)) for content in tokens])
    writer.add_token_types([2 if content == "<unk>" else 3 if i in added else 6 if re.fullmatch("<0x..>", content) else 1
                            for i, content in enumerate(tokens)])
    writer.add_unk_token_id(0)


def add_gemma_tokenizer(writer, goldens, newer):
    """As SentencePiece's file has it: the tab is a byte. Pieces of equal score are joined by their lengths, as in the original."""
    file, tokens, added = read_tokenizer(goldens, "gemma_1700")
    tokens[tokens.index("\t")] = "<0x09>"
    rank = ranks(file)
    kinds = [(3 if added[i]["special"] else 4) if i in added else 6 if re.fullmatch("<0x..>", content) else 1
             for i, content in enumerate(tokens)]
    normal = {content: n for n, content in enumerate(sorted(
        (content for content, kind in zip(tokens, kinds) if kind == 1), key=lambda content: rank.get(content, 10**6)))}
    scores = [-float(normal.get(content, 0)) for content in tokens]
    if newer:
        scores = [-1000.0 if i in added else score for i, score in enumerate(scores)]
        tokens = [content.replace("\u2581", " ") if kind == 4 else content for content, kind in zip(tokens, kinds)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(tokens.index("<unk>"))
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def convert(goldens, out, name, architecture, model, names, more=lambda writer, config: None, tokenizer=None):
    """more(writer, config) adds what the architecture has of its own, tokenizer(writer, goldens) a tokenizer."""
    config = json.loads((goldens / f"models/{model}/config.json").read_text())
    writer = gguf.GGUFWriter(out / f"{name}.gguf", architecture)
    add_sizes(writer, config)
    if "rms_norm_eps" in config:
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    bos, eos = OWN_ENDS.get(name, (config["bos_token_id"], config["eos_token_id"]))
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    more(writer, config)
    if tokenizer:
        tokenizer(writer, goldens)
    layers = "gpt_neox.layers." if architecture == "gptneox" else "model.layers."
    for tensor, weight in load_file(goldens / f"models/{model}/model.safetensors").items():
        if architecture == "llama" and ".q_proj." in tensor:
            weight = permute(weight, config["num_attention_heads"])
        if architecture == "llama" and ".k_proj." in tensor:
            weight = permute(weight, config["num_key_value_heads"])
        if architecture.startswith("gemma") and tensor.endswith("norm.weight"):
            weight = weight + np.float32(1)
        if ".query_key_value." in tensor:
            heads = config["num_attention_heads"]
            weight = weight.reshape(heads, 3, weight.shape[0] // heads // 3, -1).swapaxes(0, 1).reshape(weight.shape)
        writer.add_tensor(name_of(tensor, names, layers), np.ascontiguousarray(weight))
    finish(writer)


def add_rope(writer, config):
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def add_scaled_rope(writer, config):
    add_rope(writer, config)
    rope = config["rope_parameters"]
    writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
    writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_ext_factor(1.0)
        writer.add_rope_scaling_yarn_beta_fast(32.0)
        writer.add_rope_scaling_yarn_beta_slow(1.0)


def add_window(writer, config):
    add_rope(writer, config)
    writer.add_sliding_window(config["sliding_window"])


def add_gpt_neox(writer, config):
    width = config["hidden_size"] // config["num_attention_heads"]
    writer.add_rope_dimension_count(int(config["rope_parameters"]["partial_rotary_factor"] * width))
    writer.add_parallel_residual(config["use_parallel_residual"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])


def add_llama3(writer, config):
    """rope_freqs: what Llama 3's scaling divides each frequency by."""
    add_rope(writer, config)
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    rope, dim = config["rope_parameters"], config["head_dim"]
    original, factors = rope["original_max_position_embeddings"], []
    for frequency in 1 / rope["rope_theta"] ** (np.arange(0, dim, 2, dtype=np.float32) / dim):
        turns = original / (2 * math.pi / frequency)
        if turns > rope["high_freq_factor"]:
            factors.append(1)
        elif turns < rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))


def add_phi3(writer, config):
    add_rope(writer, config)
    rope, original = config["rope_parameters"], config["original_max_position_embeddings"]
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_sliding_window(0)
    scale = config["max_position_embeddings"] / original
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
    for kind in ("long", "short"):
        writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], dtype=np.float32))


def add_gemma(writer, config):
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])


def add_gemma2(writer, config):
    add_gemma(writer, config)
    writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_sliding_window(config["sliding_window"])


def add_gemma3(writer, config):
    add_gemma(writer, config)
    rope = config["rope_parameters"]["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_uint32("gemma3.attention.sliding_window_pattern", 3)  # every third layer sees all, as in layer_types


def gpt2(goldens, out):
    config = json.loads((goldens / "models/gpt2/config.json").read_text())
    writer = gguf.GGUFWriter(out / "gpt2.gguf", "gpt2")
    add_sizes(writer, config)
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    add_byte_level(writer, goldens, "smollm_like_2000", "smollm")
    for name, weight in load_file(goldens / "models/gpt2/model.safetensors").items():
        if not name.startswith("transformer."):
            name = "transformer." + name
        if name.endswith((".attn.bias", ".masked_bias")):
            continue
        if ".c_" in name and weight.ndim == 2:
            weight = weight.T
        writer.add_tensor(name_of(name, GPT2, "transformer.h."), np.ascontiguousarray(weight))
    finish(writer)


def types(out):
    generator = np.random.default_rng(1)
    writer = gguf.GGUFWriter(out / "types.gguf", "llama")
    expected = {}
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q5_K"):
        number = gguf.GGMLQuantizationType[kind]
        values = generator.standard_normal((3, 512)).astype(np.float32)
        if kind.endswith("_K"):  # random bits, with scales that are numbers
            elements, size = gguf.GGML_QUANT_SIZES[number]
            packed = generator.integers(0, 256, (3, 512 // elements * size), dtype=np.uint8).reshape(-1, size)
            scales = generator.uniform(-0.1, 0.1, (len(packed), 2)).astype(np.float16).view(np.uint8)
            at, count = {"Q2_K": (-4, 4), "Q3_K": (-2, 2), "Q4_K": (0, 4), "Q5_K": (0, 4), "Q6_K": (-2, 2)}[kind]
            packed[:, at:at + count or None] = scales[:, :count]
            packed = packed.reshape(3, -1)
        else:
            packed = gguf.quants.quantize(values, number)
        expected[kind] = gguf.quants.dequantize(packed, number).astype(np.float32).reshape(3, 512)
        writer.add_tensor(kind, packed, raw_dtype=number)
    finish(writer)
    save_file(expected, out / "types.safetensors")


def byte_level(name, pre):
    return lambda writer, goldens: add_byte_level(writer, goldens, name, pre)


def gemma_tokenizer(newer):
    return lambda writer, goldens: add_gemma_tokenizer(writer, goldens, newer)


OWN_ENDS = {"phi3": (1, 2), "gemma": (2, 1), "gemma3": (2, 1)}  # bos and eos of their tokenizers, not of their folders
MODELS = [  # NAME, architecture, MODEL, names, what it has of its own, tokenizer
    ("llama", "llama", "llama_gqa_tied", LLAMA, add_rope, byte_level("gpt2_1000", "gpt-2")),
    ("llama3", "llama", "llama3_rope", LLAMA, add_llama3, byte_level("llama3_3000", "llama-bpe")),
    ("llama_linear", "llama", "llama_linear_rope", LLAMA, add_scaled_rope),
    ("llama_yarn", "llama", "llama_yarn_rope", LLAMA, add_scaled_rope),
    ("mistral", "llama", "mistral_sliding8", LLAMA, add_window),
    ("olmo2", "olmo2", "olmo2", GEMMA2, add_rope, byte_level("qwen_3000", "qwen2")),
    ("gptneox", "gptneox", "gpt_neox", GPT_NEOX, add_gpt_neox, byte_level("neox_2000", "olmo")),
    ("gptneox_sequential", "gptneox", "gpt_neox_sequential_rot1", GPT_NEOX, add_gpt_neox),
    ("phi3", "phi3", "phi3_longrope", PHI3, add_phi3, lambda writer, goldens: add_sentencepiece(writer, goldens, "spbpe_2000")),
    ("gemma", "gemma", "gemma", LLAMA, add_gemma, gemma_tokenizer(False)),
    ("gemma2", "gemma2", "gemma2", GEMMA2, add_gemma2),
    ("gemma3", "gemma3", "gemma3_text", GEMMA2, add_gemma3, gemma_tokenizer(True)),
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    goldens = pathlib.Path(sys.argv[1])
    out = goldens / "gguf"
    out.mkdir(exist_ok=True)
    for row in MODELS:
        convert(goldens, out, *row)
    gpt2(goldens, out)
    types(out)


main()
