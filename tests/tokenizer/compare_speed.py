#!/usr/bin/env python3
"""Tokenizing one text with hullft and with PyPI's tokenizers, one thread each, in turns: MB a CPU second, the best of all turns.

It needs pip install tokenizers==0.23.3, the built tokenizer_bench, data/models and data/corpus (scripts/get_models, make_corpus).
usage: tests/tokenizer/compare_speed.py [TURNS]     (3; a turn takes half a minute)
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
MODEL = "smollm2-135m-instruct"  # byte-level BPE


def ours():
    command = [ROOT / "build/release/tests/tokenizer/tokenizer_bench", "--benchmark_filter=smollm2", "--benchmark_format=json"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["benchmarks"][0]["bytes_per_second"] / 1e6


def theirs(tokenizer, texts, size):
    begin = time.process_time()
    for text in texts:
        tokenizer.encode(text, add_special_tokens=False)
    return size / (time.process_time() - begin) / 1e6


def main():
    tokenizer = Tokenizer.from_file(str(ROOT / "data/models" / MODEL / "tokenizer.json"))
    with open(ROOT / "data/corpus/train.jsonl", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    size = sum(len(text.encode()) for text in texts)
    best = [0.0, 0.0]
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        best = [max(best[0], ours()), max(best[1], theirs(tokenizer, texts, size))]
    print(f"{size / 1e6:.0f} MB, MB a CPU second: hullft {best[0]:.1f}, tokenizers {best[1]:.1f}, ratio {best[0] / best[1]:.1f}")


main()
