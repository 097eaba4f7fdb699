#include "common/gguf/gguf.h"

#include <bit>
#include <cstring>
#include <utility>

#include "common/error.h"
#include "common/utf8.h"

namespace hullft {
namespace {

using nlohmann::json;
static_assert(std::endian::native == std::endian::little);

// The numbers of metadata types.
enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

constexpr uint32_t kMaxDimensions = 4;  // ggml's GGML_MAX_DIMS
constexpr uint64_t kMaxAlignment = 1 << 20;

// Reads forwards; every step is checked against the file's end.
class Reader {
 public:
  Reader(std::string path, std::span<const std::byte> bytes) : path_(std::move(path)), bytes_(bytes) {}

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(Code::kData, fmt::format("{}: {}", path_, what),
                "the file is damaged or was not downloaded completely: fetch it again");
  }
  uint64_t left() const { return bytes_.size() - at_; }
  uint64_t at() const { return at_; }

  template <typename T>
  T Number(const char* what) {
    if (left() < sizeof(T)) Fail(fmt::format("it ends within {}", what));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string String(const char* what) {
    const uint64_t length = Number<uint64_t>(what);
    if (length > left()) Fail(fmt::format("{} of {} bytes does not fit into it", what, length));
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    if (FindInvalidUtf8(text) != std::string::npos)
      Fail(fmt::format("{} that ends at byte {} is not UTF-8", what, at_));
    return text;
  }

  json Value(const std::string& key, uint32_t type) {
    const char* what = "a value of the metadata";
    switch (type) {
      case kUint8:
        return Number<uint8_t>(what);
      case kInt8:
        return Number<int8_t>(what);
      case kUint16:
        return Number<uint16_t>(what);
      case kInt16:
        return Number<int16_t>(what);
      case kUint32:
        return Number<uint32_t>(what);
      case kInt32:
        return Number<int32_t>(what);
      case kFloat32:
        return Number<float>(what);
      case kBool:
        return Number<uint8_t>(what) != 0;
      case kString:
        return String(what);
      case kUint64:
        return Number<uint64_t>(what);
      case kInt64:
        return Number<int64_t>(what);
      case kFloat64:
        return Number<double>(what);
      default:
        Fail(fmt::format("metadata {} has the type {}, which is not known here", key, type));
    }
  }

  json List(const std::string& key) {
    const auto type = Number<uint32_t>("a list's type");
    const auto count = Number<uint64_t>("a list's length");
    if (count > left()) Fail(fmt::format("metadata {}: a list of {} does not fit into it", key, count));
    json list = json::array();
    for (uint64_t i = 0; i < count; ++i) list.push_back(Value(key, type));  // a list of lists fails there
    return list;
  }

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
  uint64_t at_ = 0;
};

GgufTensor ReadTensor(Reader& reader, const std::string& name) {
  GgufTensor tensor;
  const auto dimensions = reader.Number<uint32_t>("a tensor's dimensions");
  if (dimensions > kMaxDimensions) reader.Fail(fmt::format("tensor {} has {} dimensions", name, dimensions));
  int64_t elements = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.Number<uint64_t>("a tensor's dimensions");
    if (!std::in_range<int64_t>(size) || __builtin_mul_overflow(elements, static_cast<int64_t>(size), &elements))
      reader.Fail(fmt::format("tensor {} is too large", name));
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  tensor.type = reader.Number<uint32_t>("a tensor's type");
  tensor.offset = reader.Number<uint64_t>("a tensor's offset");
  return tensor;
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : path_(path.string()), file_(path) {
  Reader reader(path_, file_.bytes());
  if (reader.Number<uint32_t>("its magic") != 0x46554747) reader.Fail("it does not begin with GGUF");
  const auto version = reader.Number<uint32_t>("its version");
  if (version != 2 && version != 3) reader.Fail(fmt::format("it is of version {}, 2 and 3 are implemented", version));
  const auto tensors = reader.Number<uint64_t>("its number of tensors");
  const auto keys = reader.Number<uint64_t>("its number of metadata");
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string key = reader.String("a key");
    const auto type = reader.Number<uint32_t>("a value's type");
    json value = type == kArray ? reader.List(key) : reader.Value(key, type);
    if (!metadata_.emplace(key, std::move(value)).second) reader.Fail(fmt::format("metadata {} is there twice", key));
  }
  for (uint64_t i = 0; i < tensors; ++i) {
    const std::string name = reader.String("a tensor's name");
    if (!tensors_.emplace(name, ReadTensor(reader, name)).second)
      reader.Fail(fmt::format("tensor {} is there twice", name));
  }
  if (const json& parts = Get("split.count"); parts.is_number() && parts > 1)
    throw Error(Code::kData,
                fmt::format("{} is one of {} parts of a model; parts are not implemented", path_, parts.dump()),
                "join them, e.g. with llama.cpp's llama-gguf-split --merge");
  const json& given = Get("general.alignment");
  const uint64_t alignment = given.is_number_unsigned() ? given.get<uint64_t>() : 32;
  if (alignment == 0 || alignment > kMaxAlignment) reader.Fail("general.alignment is not from 1 to 2^20");
  const uint64_t begin = (reader.at() + alignment - 1) / alignment * alignment;
  if (begin > file_.bytes().size()) {
    if (!tensors_.empty()) reader.Fail("it ends before its tensors");
    return;
  }
  data_ = file_.bytes().subspan(begin);
}

const json& GgufFile::Get(const std::string& key) const {
  static const json kNull;
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? kNull : found->second;
}

}  // namespace hullft
