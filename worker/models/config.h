// config.json of a Hugging Face folder, read strictly: each field an architecture asks for is checked for its type, and
// what nobody asked for must be known to be harmless (or off: null, false, 0, empty), else loading fails and names it.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.h"

namespace hullft::worker {

class ConfigReader {
 public:
  explicit ConfigReader(const std::filesystem::path& path);
  // Of a model: a folder's config.json, or what a GGUF file says in its place.
  static ConfigReader OfModel(const std::filesystem::path& model);
  // A sub-object, e.g. rope_scaling; field names in messages become "rope_scaling.factor".
  ConfigReader(std::string path, std::string prefix, nlohmann::json object);

  // Whether the field is there and not null.
  bool Has(const std::string& field) const;
  // Without a fallback a missing or null field is an error. Size: a whole number from 1 up.
  int64_t Size(const std::string& field, std::optional<int64_t> fallback = std::nullopt);
  double Number(const std::string& field, std::optional<double> fallback = std::nullopt);
  bool Flag(const std::string& field, bool fallback);
  std::string Text(const std::string& field, std::optional<std::string> fallback = std::nullopt);
  // A token id; the first one of a list (Llama 3's eos_token_id); -1 when missing or null.
  int64_t TokenId(const std::string& field);
  // A list of numbers or of texts; must be there.
  std::vector<double> Numbers(const std::string& field);
  std::vector<std::string> Texts(const std::string& field);
  // GPT-Neo's [[[TEXT, ...], TIMES], ...]; must be there.
  std::vector<std::pair<std::vector<std::string>, int64_t>> Repeats(const std::string& field);
  // Values of fields that the file does not have: those of the architecture's own class in transformers. A field that
  // is null stays so.
  void Defaults(const nlohmann::json& values);
  // Throws unless the field is missing, null or `neutral`, the value with which it changes nothing.
  void Only(const std::string& field, const nlohmann::json& neutral);
  // The named sub-object; must be there.
  ConfigReader Object(const std::string& field);

  // "PATH: field F is V: DETAIL", for a value that is not implemented.
  Error Unsupported(const std::string& field, std::string_view detail) const;
  // Throws when a field is left that was not asked for, is not in `harmless` and is not off.
  void RejectUnknown(const std::vector<std::string_view>& harmless) const;
  const std::string& path() const { return path_; }

 private:
  const nlohmann::json* Find(const std::string& field);
  Error Wrong(const std::string& field, std::string_view expected) const;

  std::string path_, prefix_;
  nlohmann::json object_;
  std::set<std::string> read_;
};

}  // namespace hullft::worker
