"""A model of Llama's shape with random weights in bfloat16, in shards, for measurements: random_llama.py FOLDER [LAYERS]

TinyLlama's sizes; 22 layers are 1.1 billion parameters, 2.2 GB. It has no tokenizer, and its scores are not worth anything.
The numbers (about 0.01 to 0.03, either sign) repeat after a MiB.
"""
import json
import pathlib
import random
import struct
import sys

WIDTH, INNER, HEADS, KV_HEADS, VOCABULARY = 2048, 5632, 32, 4, 32000
SHARD = 500_000_000


def tensors(layers):
    kv = WIDTH // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", [VOCABULARY, WIDTH]
    for i in range(layers):
        layer = f"model.layers.{i}."
        for name, shape in {"input_layernorm": [WIDTH], "self_attn.q_proj": [WIDTH, WIDTH], "self_attn.k_proj": [kv, WIDTH],
                            "self_attn.v_proj": [kv, WIDTH], "self_attn.o_proj": [WIDTH, WIDTH],
                            "post_attention_layernorm": [WIDTH], "mlp.gate_proj": [INNER, WIDTH], "mlp.up_proj": [INNER, WIDTH],
                            "mlp.down_proj": [WIDTH, INNER]}.items():
            yield layer + name + ".weight", shape
    yield "model.norm.weight", [WIDTH]
    yield "lm_head.weight", [VOCABULARY, WIDTH]


def size_of(shape):
    count = 2
    for dimension in shape:
        count *= dimension
    return count


def write_shard(path, shard, block):
    header, end = {}, 0
    for name, shape in shard:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size_of(shape)]}
        end += size_of(shape)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while end > 0:
            file.write(block[:end])
            end -= len(block)


def main(folder, layers):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=layers, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, vocab_size=VOCABULARY, max_position_embeddings=2048, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, torch_dtype="bfloat16")))
    generator = random.Random(1)
    block = bytearray(1 << 20)
    block[0::2] = generator.randbytes(1 << 19)
    block[1::2] = bytes(0x3C | byte & 0x80 for byte in generator.randbytes(1 << 19))  # sign and most of the exponent
    shards = [[]]
    for name, shape in tensors(layers):
        if shards[-1] and sum(size_of(s) for _, s in shards[-1]) + size_of(shape) > SHARD:
            shards.append([])
        shards[-1].append((name, shape))
    weight_map = {}
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / name, shard, block)
        weight_map.update({tensor: name for tensor, _ in shard})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    print(f"{sum(size_of(s) for _, s in tensors(layers)) // 2} parameters in {len(shards)} shards")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 22)
