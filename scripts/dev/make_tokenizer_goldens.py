#!/usr/bin/env python3
"""Makes goldens of tests/goldens/tokenizers: what Hugging Face's tokenizers does with texts and with every character.

A development script; nothing in the build or the tests calls it. It needs Python 3.11 and
    pip install tokenizers==0.23.3 sentencepiece==0.2.1 transformers==5.23.0
usage: scripts/dev/make_tokenizer_goldens.py FOLDER [TOKENIZER...]
       scripts/dev/make_tokenizer_goldens.py --sweep FOLDER FILE...

The first form makes NAME.tokenizer.json and NAME.cases.json of the tokenizers below in FOLDER, which is
tests/goldens/tokenizers or a copy of it: the texts are those of its gpt2_1000.cases.json, EXTRA and mixed(), of gemma_1700 also
RUNS and random ones. The second adds the
line of each tokenizer.json to FOLDER/unicode.json: a digest of the ids of every character, 4,096 of them at a time (FNV-1a, 64 bits,
over the ids as four little-endian bytes each; each text has a character at its beginning and between two letters).
"""
import json
import os
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

EXTRA = [
    " leading", "  two leading", "trailing  ", "a  b   c", "\u2581under\u2581score", "<unk> unk<unk>", "<s>a</s> <mask> b",
    "\uff21\uff22\uff23 \uff11\uff12 \ufb01x \u00bd \u2460 \u3392", "e\u0301 \u00aa\u0301 \ufb01\u0301 \u1100\u1161\u11a8 \uac00\u11a8",
    "\r\nx\ry\n\tz\u0085\u2028\u00a0\u200b\u200d\ufeff.", "\u0915\u094d\u0937\u093f \u0e33 \u0600a \U0001f468\u200d\U0001f469\u200d\U0001f467 "
    "\U0001f1e9\U0001f1ea\U0001f1eb", "\u0130stanbul \u1e9e\u00df \u03a3\u03c2", "\U0001d400\U0001d7ce \u4e2d\u6587\u5b57 \U00020000", "\u0000a\u0001b\u007f",
]
RUNS = ["a" + " " * n + "b" for n in (1, 2, 3, 30, 31, 32, 40, 62, 63, 70)] + [
    "\n" * 31, "\n" * 40 + "x", "x\n\n y\n  z", "\t\tx\t\t\ty", " \t \n\t ", "\u2581 \u2581\u2581  \u2581", "<table><b> x </b></table>", "<b", "<bos>a<eos>", "<0x09><0x0A>"]
LINES = 4000  # of the corpus, to train on


def corpus():
    data = pathlib.Path(os.environ.get("HULLFT_DATA", pathlib.Path(__file__).resolve().parents[2] / "data"))
    with open(data / "corpus/train.jsonl", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line, _ in zip(file, range(LINES))]


def xlmr():
    """XLM-R's layout: SentencePiece's own model and nmt_nfkc rules, with the four special tokens in fairseq's order."""
    import io

    import sentencepiece
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in corpus() for line in text.splitlines() if line.strip()]), model_writer=model,
        model_type="unigram", vocab_size=2000, character_coverage=0.999, normalization_rule_name="nmt_nfkc", num_threads=1)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(3, pieces.get_piece_size())] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, 3, False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap_of(model.getvalue())), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)])
    return tokenizer


def fields_of(message):
    """(number, value) of every field of a protocol buffer's bytes."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        yield key >> 3, message[at:at + size]
        at += size


def charsmap_of(model):
    """ModelProto.normalizer_spec (3) .precompiled_charsmap (2)."""
    spec = dict(fields_of(model))[3]
    return dict(fields_of(spec))[2]


def unigram_bytes():
    """Unigram with byte fallback behind NFKC, lower case and stripped accents; a space is put before the text alone."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents(),
         normalizers.Replace("``", '"')])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first")
    alphabet = [chr(c) for c in range(0x21, 0x7f)]
    tokenizer.train_from_iterator(corpus(), trainers.UnigramTrainer(
        vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", initial_alphabet=alphabet,
        show_progress=False))
    file = json.loads(tokenizer.to_str())
    file["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    file["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="\u2581", prepend_scheme="first"), decoders.Fuse()])
    return tokenizer


def metaspace_bpe():
    """BPE with byte fallback behind Metaspace that does not cut, as newer Llama 2 and Mistral files are."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=True)
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)],
        show_progress=False, limit_alphabet=200))
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = file["added_tokens"][:3]
    file["pre_tokenizer"]["split"] = False
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def gemma_pieces():
    """(piece, score) as Gemma 1 and 2 have them: user-defined runs, a tab's byte but no piece for it, then pieces by score."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    tokenizer.train_from_iterator(
        [line for text in corpus() for line in text.splitlines()],
        trainers.BpeTrainer(vocab_size=1300, special_tokens=["<unk>"], show_progress=False, limit_alphabet=150))
    trained = json.loads(tokenizer.to_str())["model"]
    joined = list(dict.fromkeys("".join(merge) for merge in trained["merges"]))
    single = [piece for piece in trained["vocab"] if piece != "<unk>" and piece not in joined and piece != "\t"]
    pieces = [piece for piece in joined + ["\t\t", "\t\t\t"] if piece.strip("\u2581")]
    return ([(piece, 0.0) for piece in GEMMA_OWN] + [(f"<0x{byte:02X}>", 0.0) for byte in range(256)]
            + [(piece, -float(i)) for i, piece in enumerate(dict.fromkeys(pieces + single))])


GEMMA_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
GEMMA_OWN = (GEMMA_SPECIAL + ["<mask>", "[@BOS@]"] + ["\n" * n for n in range(1, 32)] + ["\u2581" * n for n in range(2, 32)]
             + ["<table>", "</table>", "<b>", "</b>"])


def gemma():
    """Gemma's layout, as transformers' GemmaConverter makes it of the pieces: the tab takes the place of its byte."""
    from transformers.convert_slow_tokenizer import generate_merges
    scores = [("\t" if piece == "<0x09>" else piece, score) for piece, score in gemma_pieces()]
    vocab = {piece: i for i, (piece, _) in enumerate(scores)}
    tokenizer = Tokenizer(models.BPE(vocab, generate_merges(vocab, scores), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", GEMMA_OWN.index("<bos>"))])
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=piece in GEMMA_SPECIAL) for piece in GEMMA_OWN])
    return tokenizer


def random_texts():
    generator = random.Random(1)
    parts = [" ", "  ", "   ", "\n", "\n\n", "\t", "\t\t", "\u2581", "\u2581\u2581", "<b>", "</b>", "<", "the", "The", "ing", "x", "1",
             "\u00e9", "\u4e2d", "\U0001f600", ".", "\r\n", "\u00a0", "<unk>", "<bos>"]
    return ["".join(generator.choices(parts, k=generator.randint(1, 30))) for _ in range(200)]


FRAGMENTS = [
    " ", "  ", "\t", "\n", "\r\n", "\n\n", "\u00a0", "\u3000", "'s", "'LL", "'\u017f", "n't", "Hello", "hello", "WORLD", "x y", "fooBar", "a1b2",
    "123", "1234567", "3.14", "\u0663\u0664", "\u00bd", "\u00b2", "\u216b", "e\u0301", "\u0301", "\ufb01", "\u212b", "\u0130", "\u1e9e", "_", "...",
    "?!", "[[", "/", "://", "\u201c", "\u3002", "\u4e2d\u6587", "\u3072\u3089", "\ud55c\uad6d", "\u0e01\u0e47", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u05e9\u05dc\u05d5\u05dd", "\U0001f468\u200d\U0001f469", "\U0001f44d\U0001f3fd", "\u200d", "\x00", "\x7f", "\ue000", "\u2581", "<s>", "</s>", "<0x0A>",
    "[UNK]", "\U0001171e", "\u1c89\u1c8a", "\U000323af", "\u24d0",
]


def mixed(count=120):
    """Texts of fragments that meddle with each other."""
    dice = random.Random(1)
    return ["".join(dice.choice(FRAGMENTS) for _ in range(dice.choice([2, 4, 7]))) for _ in range(count)]


# The splits of GPT-4o (o200k) and of DeepSeek V3, and one that Falcon and BLOOM are made of.
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+")


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(steps, specials, cuts=None, model=None, vocab=1000):
    """Byte-level BPE behind steps; cuts: what cuts the text it is trained on, so that it has merges that steps prevent."""
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = Tokenizer(model or models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cuts or split(r"[^\n]{1,9}"), bytes_only])
    suffix = {"end_of_word_suffix": model.end_of_word_suffix} if model else {}
    tokenizer.train_from_iterator(corpus()[:800] + mixed(2000), trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, **suffix))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def o200k():
    """GPT-4o's split with whole words looked up first, as gpt-oss and Llama 4 have it."""
    file = json.loads(byte_level([split(O200K)], ["<|startoftext|>", "<|endoftext|>"]).to_str())
    file["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|startoftext|> $A", special_tokens=[("<|startoftext|>", 0)])])
    return tokenizer


def deepseek():
    """DeepSeek V3's three splits in turn, and Digits."""
    return byte_level([split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK),
                       pre_tokenizers.Digits(individual_digits=True)], ["<\uff5cbegin\u2581of\u2581sentence\uff5c>"])


def patterns():
    """Patterns that PCRE2 reads otherwise than the reference, and empty matches, in one sequence."""
    return byte_level([split(r"(?=[A-Z])"), split(r" ?[^(\s|[.,!?\u2026\u3002])]+", "merged_with_next"), split(r"\b", "merged_with_previous"),
                       split(r"\h{2}+|[\w-]+$", "contiguous"), split(r"\p{Nd}{,2}\u4e2d", "merged_with_previous", True)], ["<s>"])


def clip():
    """CLIP's layout: words end in </w>, what is between the matches is dropped."""
    tokenizer = byte_level(
        [split(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "removed", True)], ["<|startoftext|>", "<|endoftext|>"],
        cuts=split(r"\s+", "removed"), model=models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), False, True)
    return tokenizer


def sentencepiece_bpe(specials):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first")
    tokenizer.train_from_iterator(corpus()[:800], trainers.BpeTrainer(
        vocab_size=1000, special_tokens=specials + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False, limit_alphabet=150))
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = file["added_tokens"][:len(specials)]
    file["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def llama2_legacy():
    """Early files of Llama 2: added tokens are looked for in the normalized text. Phi-3's swallow the spaces behind them."""
    tokenizer = sentencepiece_bpe(["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.add_tokens([AddedToken("[UNK]", rstrip=True, normalized=False), AddedToken("WORLD", normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    file = json.loads(tokenizer.to_str())
    for token in file["added_tokens"][:3]:
        token["normalized"] = True
    return Tokenizer.from_str(json.dumps(file))


def word_pieces():
    """WordPiece behind other steps than BERT's, with added tokens of every kind."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Strip(True, True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(True)])
    tokenizer.train_from_iterator(corpus()[:800], trainers.WordPieceTrainer(
        vocab_size=1000, special_tokens=["<s>", "[UNK]", "</s>"], limit_alphabet=150, show_progress=False))
    tokenizer.add_tokens([AddedToken("Hello", single_word=True), AddedToken("WORLD", normalized=True),
                          AddedToken("x y", normalized=True, lstrip=True, rstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer


TOKENIZERS = {"xlmr_2000": xlmr, "unigram_bytes_1500": unigram_bytes, "metaspace_bpe_1500": metaspace_bpe, "o200k_1000": o200k,
              "deepseek_1000": deepseek, "patterns_1000": patterns, "clip_1000": clip, "gemma_1700": gemma,
              "llama2_legacy_1000": llama2_legacy, "word_pieces_1000": word_pieces}


def make(folder, name):
    path = folder / f"{name}.tokenizer.json"
    path.write_text(TOKENIZERS[name]().to_str(), encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(path))
    with open(folder / "gpt2_1000.cases.json", encoding="utf-8") as file:
        texts = [case["text"] for case in json.load(file)["cases"]] + EXTRA + mixed()
    if name == "gemma_1700":
        texts += RUNS + random_texts()
    cases = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        special = tokenizer.encode(text).ids
        cases.append({"text": text, "utf8_hex": text.encode().hex(), "ids": ids,
                      **({"ids_special": special} if special != ids else {}),
                      "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
    out = {"tokenizer": name, "vocab_size": tokenizer.get_vocab_size(), "cases": cases}
    (folder / f"{name}.cases.json").write_text(json.dumps(out, ensure_ascii=False), encoding="utf-8")
    print(f"{name}: {len(cases)} texts")


def fnv(ids, state):
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


def sweep(folder, files):
    out = folder / "unicode.json"
    digests = json.loads(out.read_text()) if out.exists() else {}
    for file in files:
        name = pathlib.Path(file).name.removesuffix(".tokenizer.json")
        if name == "tokenizer.json":
            name = pathlib.Path(file).resolve().parent.name
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        digests[name] = []
        for block in range(0, 0x110000, 0x1000):
            codes = [c for c in range(block, block + 0x1000) if not 0xD800 <= c < 0xE000]
            texts = [f"{chr(c)}a{chr(c)}b" for c in codes]
            state = 0xCBF29CE484222325
            for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
                state = fnv(encoding.ids, state)
            digests[name].append(f"{state:016x}")
        rows = [f'"{key}": {json.dumps(row)}' for key, row in sorted(digests.items())]
        out.write_text("{" + ",\n".join(rows) + "}\n")
        print(name, flush=True)


def main():
    if len(sys.argv) >= 4 and sys.argv[1] == "--sweep":
        return sweep(pathlib.Path(sys.argv[2]), sys.argv[3:])
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    for name in sys.argv[2:] or list(TOKENIZERS):
        make(pathlib.Path(sys.argv[1]), name)


main()
