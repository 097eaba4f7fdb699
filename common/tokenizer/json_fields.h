// Reads the objects of a tokenizer.json so that nothing in them is ignored. Internal to common/tokenizer.
//
//   Fields fields(json, {"path/tokenizer.json", "pre_tokenizer"});
//   const bool add_prefix = fields.Bool("add_prefix_space", true);
//   fields.Done();   // a kData error names every field that nobody asked for
//
// Errors (kData) name the file and the field. Thread safety: one thread's.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

namespace hullft::tokenizer {

// Where in which file a JSON value stands.
struct Place {
  std::string file;
  std::string field;  // e.g. "pre_tokenizer.pretokenizers[0]"; empty at the top

  Place Inside(const std::string& name) const { return {file, field.empty() ? name : field + "." + name}; }
  Place At(size_t index) const { return {file, field + "[" + std::to_string(index) + "]"}; }
};

class Fields {
 public:
  Fields(const nlohmann::json& object, Place place);

  const Place& place() const { return place_; }
  bool Has(const std::string& name) const { return object_.contains(name) && !object_[name].is_null(); }
  // The value of a field that must be there.
  const nlohmann::json& Raw(const std::string& name);
  std::string String(const std::string& name);
  // Nothing when absent or null.
  std::optional<std::string> OptionalString(const std::string& name);
  bool Bool(const std::string& name);
  bool Bool(const std::string& name, bool when_absent);
  int64_t Integer(const std::string& name);
  int64_t Integer(const std::string& name, int64_t when_absent);
  const nlohmann::json& Array(const std::string& name);
  const nlohmann::json& Object(const std::string& name);
  // Marks a field as known although its value does not matter here; the comment at the call says why.
  void Ignore(const std::string& name) { seen_.insert(name); }
  // Throws when the object has a field that was neither read nor ignored.
  void Done() const;

  // An error about one field: "FILE: FIELD.name MESSAGE".
  [[noreturn]] void Fail(const std::string& name, const std::string& message) const;

 private:
  const nlohmann::json& object_;
  Place place_;
  std::set<std::string> seen_;
};

// Throws a kData error "FILE: FIELD MESSAGE" with a hint that this component is not implemented.
[[noreturn]] void FailUnimplemented(const Place& place, const std::string& message);

}  // namespace hullft::tokenizer
