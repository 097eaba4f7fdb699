#include "coordinator/bench/synthetic_corpus.h"

#include <zstd.h>

#include <array>
#include <cmath>
#include <memory>

#include "common/error.h"
#include "common/files.h"

namespace hullft::coordinator {
namespace {

constexpr std::array kCommon = {
    "the",   "of",    "and",   "to",     "a",       "in",    "is",      "that",  "for",   "it",    "was",    "on",
    "with",  "as",    "be",    "by",     "at",      "this",  "from",    "or",    "an",    "are",   "which",  "not",
    "have",  "but",   "had",   "has",    "were",    "they",  "their",   "one",   "all",   "we",    "can",    "there",
    "been",  "if",    "more",  "when",   "will",    "would", "who",     "so",    "no",    "out",   "said",   "what",
    "up",    "its",   "about", "than",   "into",    "them",  "only",    "other", "new",   "some",  "could",  "time",
    "these", "two",   "may",   "then",   "do",      "first", "any",     "my",    "now",   "such",  "like",   "our",
    "over",  "man",   "me",    "even",   "most",    "made",  "after",   "also",  "did",   "many",  "before", "must",
    "state", "years", "where", "system", "process", "value", "program", "model", "water", "under", "number"};
constexpr std::array kSyllables = {"ta",  "re", "con", "ver", "sion", "al", "ment", "in", "pro", "ty",   "com", "ex",
                                   "ing", "er", "lo",  "gi",  "cal",  "un", "der",  "po", "li",  "tion", "sta", "ble"};
constexpr size_t kWords = 1000;

// splitmix64 (Steele, Lea and Flood, OOPSLA 2014): any number is a good seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  // About normal: the sum of four uniform numbers.
  float Bell() {
    const uint64_t bits = Next();
    const auto sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    return static_cast<float>(static_cast<int64_t>(sum) - 131070) * (1 / 37837.0f);
  }

 private:
  uint64_t state_;
};

uint64_t Mix(uint64_t seed, uint64_t what, int64_t i) {
  return Random(seed * 0x9e3779b97f4a7c15 + what).Next() ^ Random(static_cast<uint64_t>(i)).Next();
}

// A file of lines, compressed by its name.
class TextSink {
 public:
  explicit TextSink(const std::filesystem::path& path)
      : file_(path), stream_(path.extension() == ".zst" ? ::ZSTD_createCStream() : nullptr, ::ZSTD_freeCStream) {}
  void Add(std::string_view line) {
    buffer_ += line;
    if (buffer_.size() > (1 << 20)) Flush(ZSTD_e_continue);
  }
  void Finish() { Flush(ZSTD_e_end); }

 private:
  void Flush(ZSTD_EndDirective directive) {
    if (stream_ == nullptr) {
      file_.Append(buffer_);
    } else {
      std::string out(::ZSTD_CStreamOutSize(), '\0');
      ZSTD_inBuffer from{buffer_.data(), buffer_.size(), 0};
      for (size_t left = 1; left > 0 && (directive == ZSTD_e_end || from.pos < from.size);) {
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        left = ::ZSTD_compressStream2(stream_.get(), &to, &from, directive);
        HULLFT_CHECK(::ZSTD_isError(left) == 0);
        file_.Append({out.data(), to.pos});
        if (directive == ZSTD_e_continue) left = 1;
      }
    }
    buffer_.clear();
  }
  AppendFile file_;
  std::unique_ptr<ZSTD_CStream, size_t (*)(ZSTD_CStream*)> stream_;
  std::string buffer_;
};

void Normalise(std::span<float> x) {
  double square = 0;
  for (const float v : x) square += static_cast<double>(v) * v;
  const auto scale = static_cast<float>(1 / std::sqrt(square));
  for (float& v : x) v *= scale;
}

}  // namespace

SyntheticCorpus::SyntheticCorpus(const SyntheticSettings& settings)
    : settings_(settings), centres_(static_cast<size_t>(settings.clusters) * static_cast<size_t>(settings.dim)) {
  Random random(Mix(settings.seed, 1, 0));
  words_.assign(kCommon.begin(), kCommon.end());
  while (words_.size() < kWords) {
    std::string word;
    for (uint64_t n = 2 + random.Next() % 3; n > 0; --n) word += kSyllables[random.Next() % kSyllables.size()];
    words_.push_back(std::move(word));
  }
  for (float& x : centres_) x = random.Bell();
}

std::string SyntheticCorpus::Text(int64_t i) const {
  Random random(Mix(settings_.seed, 2, i));
  std::string text;
  text.reserve(static_cast<size_t>(settings_.text_bytes) + 16);
  const double spread = std::log(static_cast<double>(words_.size()));
  while (static_cast<int64_t>(text.size()) < settings_.text_bytes) {
    // exp of a uniform number falls off like 1 / rank.
    const auto rank = static_cast<size_t>(std::exp(random.Unit() * spread)) - 1;
    const uint64_t mark = random.Next() % 100;
    if (mark < 2) {
      text += std::to_string(random.Next() % 2000);
    } else {
      text += words_[std::min(rank, words_.size() - 1)];
    }
    text += mark > 94 ? ".\n" : mark > 88 ? ", " : " ";
  }
  return text;
}

void SyntheticCorpus::Vector(int64_t i, std::span<float> out) const {
  Random random(Mix(settings_.seed, 3, i));
  const size_t d = out.size();
  const size_t cluster = random.Next() % static_cast<uint64_t>(settings_.clusters);
  for (size_t j = 0; j < d; ++j) out[j] = centres_[cluster * d + j] + 1.2f * random.Bell();
  Normalise(out);
}

void SyntheticCorpus::WriteTexts(const std::filesystem::path& path) const {
  std::filesystem::remove(path);
  TextSink sink(path);
  for (int64_t i = 0; i < settings_.sequences; ++i) {
    std::string line = "{\"text\": \"";
    for (const char c : Text(i)) {
      if (c == '\n') {
        line += "\\n";
      } else {
        line += c;
      }
    }
    sink.Add(line + fmt::format("\", \"meta\": {{\"n\": {}}}}}\n", i));
  }
  sink.Finish();
}

void SyntheticCorpus::WriteVectors(const std::filesystem::path& path) const {
  std::filesystem::remove(path);
  AppendFile file(path);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},{},), }}",
                                   settings_.sequences, settings_.dim);
  header.append(127 - (10 + header.size()), ' ');
  header += '\n';
  file.Append(std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header);
  constexpr int64_t kBlock = 1024;
  std::vector<float> values;
  const auto d = static_cast<size_t>(settings_.dim);
  for (int64_t first = 0; first < settings_.sequences; first += kBlock) {
    values.resize(static_cast<size_t>(std::min(kBlock, settings_.sequences - first)) * d);
    for (size_t r = 0; r * d < values.size(); ++r)
      Vector(first + static_cast<int64_t>(r), std::span(values).subspan(r * d, d));
    file.Append({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
}

}  // namespace hullft::coordinator
