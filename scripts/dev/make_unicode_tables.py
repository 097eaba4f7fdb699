#!/usr/bin/env python3
"""Writes common/tokenizer/unicode_tables.cc: the character classes of the reference implementation.

Costs: half a minute and `pip install tokenizers==0.23.3`. Needed only to move to a newer reference.
Usage: scripts/dev/make_unicode_tables.py > common/tokenizer/unicode_tables.cc

The reference mixes Unicode versions (its regular expressions, Rust's char and BERT's tables differ), and the libraries
of a distribution bring yet others. So each class is asked from the reference, one character at a time. It needs
Python 3.11 for its unicodedata of Unicode 14, which is that of PCRE2 10.42.
"""
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def matching(pattern):
    """Codes that a regular expression matches."""
    normalizer = normalizers.Replace(Regex(pattern), "")
    out = []
    for i in range(0, len(CODES), 1024):
        block = CODES[i:i + 1024]
        left = set(normalizer.normalize_str("".join(map(chr, block))))
        out += [c for c in block if chr(c) not in left]
    return out


def deleted_by(normalizer):
    """Codes that a normalizer turns into nothing."""
    return [c for c in CODES if normalizer.normalize_str(chr(c)) == ""]


def bert(**on):
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    return normalizers.BertNormalizer(**{name: on.get(name, False) for name in names})


def cut_out_by(pre_tokenizer):
    """Codes that become a piece of their own between two letters."""
    return [c for c in CODES if len(pre_tokenizer.pre_tokenize_str("a" + chr(c) + "a")) == 3]


def lower_case():
    """[first, last, step, delta]: the characters of first, first + step, ..., last become lower case by adding delta."""
    runs = []
    lower = normalizers.Lowercase()
    for c in CODES[0x80:]:
        to = lower.normalize_str(chr(c))
        if len(to) != 1 or ord(to) == c:
            continue  # U+0130 alone becomes two
        delta, run = ord(to) - c, runs[-1] if runs else None
        if run and run[3] == delta and c - run[1] in ((1, 2) if run[0] == run[1] else (run[2],)):
            run[1], run[2] = c, c - run[1]
        else:
            runs.append([c, c, 1, delta])
    return runs


CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co").split()


def new_categories():
    """[first, last, category] where the reference's regular expressions know another category than Unicode 14."""
    assert unicodedata.unidata_version == "14.0.0"
    changed = {}
    for name in CATEGORIES:
        changed.update({c: name for c in matching(rf"\p{{{name}}}") if unicodedata.category(chr(c)) != name})
    runs = []
    for c, name in sorted(changed.items()):
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == name:
            runs[-1][1] = c
        else:
            runs.append([c, c, name])
    return runs


def print_ranges(name, comment, codes):
    ranges = []
    for c in codes:
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    print(f"\n// {comment}\nconst CodeRange {name}[] = {{")
    line = "   "
    for first, last in ranges:
        item = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(item) > 120:
            print(line)
            line = "   "
        line += item
    print(f"{line}\n}};\nconst size_t {name}Count = {len(ranges)};")


print("""// Made by scripts/dev/make_unicode_tables.py with tokenizers 0.23.3; do not edit.
#include "common/tokenizer/unicode_tables.h"

namespace hullft::tokenizer {
// clang-format off""")
print_ranges("kLetterRanges", r"\p{L} of its regular expressions.", matching(r"\p{L}"))
print_ranges("kNumberRanges", r"\p{N} of its regular expressions.", matching(r"\p{N}"))
print_ranges("kNumericRanges", "char::is_numeric, by which Digits splits.", cut_out_by(pre_tokenizers.Digits(True)))
print_ranges("kMarkRanges", "What StripAccents deletes.", deleted_by(normalizers.StripAccents()))
print_ranges("kBertAccentRanges", "What BertNormalizer deletes as an accent.", deleted_by(bert(strip_accents=True)))
print_ranges("kBertControlRanges", "What BertNormalizer deletes as a control character.", deleted_by(bert(clean_text=True)))
print_ranges("kBertPunctuationRanges", "Where BertPreTokenizer splits.", cut_out_by(pre_tokenizers.BertPreTokenizer()))
print_ranges("kDecomposedRanges", "What NFKD changes.",
             [c for c in CODES if normalizers.NFKD().normalize_str(chr(c)) != chr(c)])
runs = lower_case()
print("\n// char::to_lowercase beyond ASCII.\nconst LowerRange kLowerRanges[] = {")
for i in range(0, len(runs), 4):
    print("    " + " ".join("{0x%X, 0x%X, %d, %d}," % tuple(run) for run in runs[i:i + 4]))
print(f"}};\nconst size_t kLowerRangesCount = {len(runs)};")
runs = new_categories()
print("\n// General categories of its regular expressions that Unicode 14 does not have.\n"
      "const CategoryRange kNewCategories[] = {")
for i in range(0, len(runs), 4):
    print("    " + " ".join('{0x%X, 0x%X, "%s"},' % tuple(run) for run in runs[i:i + 4]))
print(f"}};\nconst size_t kNewCategoriesCount = {len(runs)};")
print("// clang-format on\n}  // namespace hullft::tokenizer")
