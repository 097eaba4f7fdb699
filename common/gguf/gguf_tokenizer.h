// The tokenizer inside a GGUF file, written as the tokenizer.json that it was made from. Thread safety: free function.
#pragma once

#include <nlohmann/json.hpp>

#include "common/gguf/gguf.h"

namespace hullft {

// Byte-level BPE (tokenizer.ggml.model "gpt2") with the ways to cut text that tokenizer.ggml.pre names and that are in
// the table of gguf_byte_level.cc; SentencePiece's BPE ("llama"), whose merges are made of the pieces' scores
// (gguf_sentencepiece.cc). kData error that names the key for everything else.
nlohmann::ordered_json GgufTokenizer(const GgufFile& file);

}  // namespace hullft
