"""A small model for measurements, made of a real one's first layers: cut_model.py MODEL FOLDER LAYERS

Its tokens, width and vocabulary are the real model's, its scores are not worth anything. For models of Llama's kind in
one model.safetensors.
"""
import json
import re
import shutil
import struct
import sys


def main(model, folder, layers):
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    with open(folder + "/config.json", encoding="utf-8") as file:
        config = json.load(file)
    config["num_hidden_layers"] = layers
    with open(folder + "/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)
    with open(model + "/model.safetensors", "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        kept, data = {}, []
        for name, tensor in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [0])[0]):
            layer = re.match(r"model\.layers\.(\d+)\.", name)
            if name == "__metadata__" or (layer and int(layer[1]) >= layers):
                continue
            begin, end = tensor["data_offsets"]
            file.seek(8 + size + begin)
            at = sum(map(len, data))
            data.append(file.read(end - begin))
            kept[name] = {**tensor, "data_offsets": [at, at + end - begin]}
    text = json.dumps(kept).encode()
    text += b" " * (-len(text) % 8)
    with open(folder + "/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
