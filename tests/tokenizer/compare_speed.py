#!/usr/bin/env python3
"""Tokenizing one text with hullft and with PyPI's tokenizers, one thread each, in turns: MB a CPU second, the best of all turns.

It needs pip install tokenizers==0.23.3, the built tokenizer_bench, data/models and data/corpus (scripts/get_models, make_corpus).
usage: tests/tokenizer/compare_speed.py [TURNS [NAME...]]     (3, smollm2; a turn of each takes half a minute)
NAME: smollm2 (byte-level BPE), minilm (WordPiece), qwen (byte-level BPE), gemma (BPE with byte fallback), xlmr (Unigram).
"""
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402  (reads the variables above)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("HULLFT_DATA", ROOT / "data"))
GOLDENS = ROOT / "tests/goldens/tokenizers"
FILES = {  # as tokenizer_bench has them
    "smollm2": DATA / "models/smollm2-135m-instruct/tokenizer.json", "minilm": DATA / "models/all-minilm-l6-v2/tokenizer.json",
    "qwen": GOLDENS / "qwen_3000.tokenizer.json", "gemma": GOLDENS / "gemma_1700.tokenizer.json",
    "xlmr": GOLDENS / "xlmr_2000.tokenizer.json",
}


def ours(name):
    command = [ROOT / "build/release/tests/tokenizer/tokenizer_bench", f"--benchmark_filter={name}", "--benchmark_format=json"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["benchmarks"][0]["bytes_per_second"] / 1e6


def theirs(tokenizer, texts, size):
    begin = time.process_time()
    for text in texts:
        tokenizer.encode(text, add_special_tokens=False)
    return size / (time.process_time() - begin) / 1e6


def compare(name, turns, texts, size):
    tokenizer = Tokenizer.from_file(str(FILES[name]))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    best = [0.0, 0.0]
    for _ in range(turns):
        best = [max(best[0], ours(name)), max(best[1], theirs(tokenizer, texts, size))]
    print(f"{name}, {size / 1e6:.0f} MB, MB a CPU second: hullft {best[0]:.1f}, tokenizers {best[1]:.1f}, ratio {best[0] / best[1]:.1f}",
          flush=True)


def main():
    with open(DATA / "corpus/train.jsonl", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    size = sum(len(text.encode()) for text in texts)
    for name in sys.argv[2:] or ["smollm2"]:
        compare(name, int(sys.argv[1]) if len(sys.argv) > 1 else 3, texts, size)


main()
