// Corpora of any size for benchmarks and tests, the same bytes from the same settings on every machine: English-like
// texts (common words by Zipf's law, rarer ones put together from syllables, punctuation, numbers) and unit vectors in
// clusters. Nothing is kept in memory. Thread safety: free functions; a SyntheticCorpus may be read by several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace hullft::coordinator {

struct SyntheticSettings {
  int64_t sequences = 100'000;
  int64_t text_bytes = 1000;  // of each text, about
  int dim = 384;
  int clusters = 1000;  // that the vectors lie in
  uint64_t seed = 1;
};

class SyntheticCorpus {
 public:
  explicit SyntheticCorpus(const SyntheticSettings& settings);
  const SyntheticSettings& settings() const { return settings_; }

  std::string Text(int64_t i) const;
  // The vector of sequence i, or of a query near the corpus for i < 0. out: dim values of length 1.
  void Vector(int64_t i, std::span<float> out) const;

  // {"text": ..., "meta": {"n": i}} a line; compressed when path ends in .zst.
  void WriteTexts(const std::filesystem::path& path) const;
  // .npy, float32 [sequences][dim].
  void WriteVectors(const std::filesystem::path& path) const;

 private:
  const SyntheticSettings settings_;
  std::vector<std::string> words_;
  std::vector<float> centres_;  // [clusters][dim]
};

}  // namespace hullft::coordinator
