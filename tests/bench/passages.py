"""Cuts the texts of a JSONL file into passages of about so many bytes, each a record: many real texts of a few tokens,
so that embedding them takes minutes, not hours. usage: passages.py INPUT OUTPUT BYTES MOST"""
import json
import sys


def passages(text, size):
    piece = ""
    for word in text.split():
        if piece and len(piece) + 1 + len(word) > size:
            yield piece
            piece = ""
        piece = word[:size] if not piece else piece + " " + word
    if len(piece) >= size // 2:
        yield piece


def main():
    source, target, size, most = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    seen = set()
    with open(source) as lines, open(target, "w") as out:
        for line in lines:
            for piece in passages(json.loads(line)["text"], size):
                if piece in seen:
                    continue
                if len(seen) == most:
                    return
                seen.add(piece)
                out.write(json.dumps({"text": piece}, ensure_ascii=False) + "\n")


main()
