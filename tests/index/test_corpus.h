// Small corpora for the tests of index/: a folder that goes away, texts, a deterministic stand-in for encoder and
// tokenizer.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/hash.h"
#include "index/builder.h"
#include "tests/caught.h"

namespace hullft::index {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    // In memory where that can be: the many small durable writes of these tests cost minutes on a slow disk.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name =
        ((memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) / "hullft_index_XXXXXX")
            .string();
    if (::mkdtemp(name.data()) == nullptr) throw IoError("create", name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

constexpr int kDim = 8;

// A unit vector that depends on the text alone.
inline std::vector<float> FakeVector(std::string_view text) {
  std::mt19937_64 random(Hash64(text));
  std::vector<float> vector(kDim);
  double square = 0;
  for (float& x : vector) {
    x = static_cast<float>(static_cast<int64_t>(random() % 2001) - 1000);
    square += static_cast<double>(x) * x;
  }
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(square + 1e-9));
  return vector;
}

inline EmbedFunction FakeEmbed() {
  return {[](std::span<const std::string_view> texts, std::span<float> out) {
            for (size_t i = 0; i < texts.size(); ++i)
              std::ranges::copy(FakeVector(texts[i]), out.begin() + static_cast<long>(i) * kDim);
          },
          kDim, "fake encoder"};
}

inline TokenizeFunction FakeTokenize() {
  return {[](std::string_view text) { return std::vector<int32_t>(text.begin(), text.end()); }, "fake tokenizer"};
}

// n texts, some of them equal, some with awkward characters.
inline std::vector<std::string> RandomTexts(int n, uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<std::string> words = {
      "alpha", "ÄÖ", "\n", "\"quoted\"", "\\", "日本", "x", std::string(1, '\0'), "\U0001F600", " "};
  std::vector<std::string> texts;
  for (int i = 0; i < n; ++i) {
    if (i > 0 && random() % 5 == 0) {
      texts.push_back(texts[random() % texts.size()]);
      continue;
    }
    std::string text = "t";
    for (uint64_t w = random() % 30; w > 0; --w) text += words[random() % words.size()];
    texts.push_back(text);
  }
  return texts;
}

inline std::string ToJsonl(const std::vector<std::string>& texts) {
  std::string lines;
  for (size_t i = 0; i < texts.size(); ++i) {
    lines += nlohmann::json{{"text", texts[i]}, {"meta", {{"pile_set_name", "Set"}, {"n", i}}}}.dump() + "\n";
  }
  return lines;
}

inline BuildSettings Settings(const std::filesystem::path& input, const std::filesystem::path& output,
                              int partitions = 1) {
  BuildSettings settings;
  settings.inputs = {input.string()};
  settings.output = output.string();
  settings.partitions = partitions;
  settings.batch = 7;
  settings.threads = 2;
  settings.quiet = true;
  return settings;
}

}  // namespace hullft::index
