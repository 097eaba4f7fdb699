#include "common/tokenizer/json_fields.h"

#include "common/error.h"

namespace hullft::tokenizer {
namespace {
constexpr const char* kHint =
    "this tokenizer uses something that hullft does not implement; running on without it would give other ids than the "
    "reference";
}  // namespace

Fields::Fields(const nlohmann::json& object, Place place) : object_(object), place_(std::move(place)) {
  if (!object.is_object())
    throw DataError("{}: {} must be an object but is {}", place_.file,
                    place_.field.empty() ? "the top level" : place_.field, object.type_name());
}

void Fields::Fail(const std::string& name, const std::string& message) const {
  throw DataError("{}: {} {}", place_.file, place_.Inside(name).field, message);
}

const nlohmann::json& Fields::Raw(const std::string& name) {
  seen_.insert(name);
  const auto found = object_.find(name);
  if (found == object_.end()) Fail(name, "is missing");
  return *found;
}

std::string Fields::String(const std::string& name) {
  const nlohmann::json& value = Raw(name);
  if (!value.is_string()) Fail(name, std::string("must be a string but is ") + value.type_name());
  return value.get<std::string>();
}

std::optional<std::string> Fields::OptionalString(const std::string& name) {
  seen_.insert(name);
  if (!Has(name)) return std::nullopt;
  return String(name);
}

bool Fields::Bool(const std::string& name) {
  const nlohmann::json& value = Raw(name);
  if (!value.is_boolean()) Fail(name, std::string("must be true or false but is ") + value.type_name());
  return value.get<bool>();
}

bool Fields::Bool(const std::string& name, bool when_absent) {
  seen_.insert(name);
  return Has(name) ? Bool(name) : when_absent;
}

int64_t Fields::Integer(const std::string& name) {
  const nlohmann::json& value = Raw(name);
  if (!value.is_number_integer()) Fail(name, std::string("must be an integer but is ") + value.type_name());
  return value.get<int64_t>();
}

int64_t Fields::Integer(const std::string& name, int64_t when_absent) {
  seen_.insert(name);
  return Has(name) ? Integer(name) : when_absent;
}

const nlohmann::json& Fields::Array(const std::string& name) {
  const nlohmann::json& value = Raw(name);
  if (!value.is_array()) Fail(name, std::string("must be an array but is ") + value.type_name());
  return value;
}

const nlohmann::json& Fields::Object(const std::string& name) {
  const nlohmann::json& value = Raw(name);
  if (!value.is_object()) Fail(name, std::string("must be an object but is ") + value.type_name());
  return value;
}

void Fields::Done() const {
  for (const auto& [name, value] : object_.items())
    if (!seen_.contains(name)) FailUnimplemented(place_.Inside(name), "is a field that is not implemented");
}

void FailUnimplemented(const Place& place, const std::string& message) {
  throw Error(Code::kData, place.file + ": " + place.field + " " + message, kHint);
}

}  // namespace hullft::tokenizer
