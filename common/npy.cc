#include "common/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "common/error.h"

namespace hullft {
namespace {

constexpr size_t kMaxHeaderBytes = 10'000;  // numpy's own limit (numpy.lib.format)
constexpr const char* kSaveAgain = "the file is damaged, or not one that numpy wrote: save it again with numpy.save";

[[noreturn]] void Fail(const std::string& path, std::string_view fault) {
  throw Error(Code::kData, fmt::format("{}: {}", path, fault), kSaveAgain);
}

// What stands in the header's dictionary behind a field's name, up to the header's end.
std::string_view Field(std::string_view header, std::string_view name, const std::string& path) {
  const size_t at = header.find(fmt::format("'{}'", name));
  if (at == std::string_view::npos) Fail(path, fmt::format("the .npy header has no field '{}'", name));
  header.remove_prefix(at + name.size() + 2);
  const size_t value = header.find_first_not_of(" \t:");
  return value == std::string_view::npos ? "" : header.substr(value);
}

std::string_view Until(std::string_view text, char end) {
  return text.substr(0, text.find(end));
}

std::vector<int64_t> ParseShape(std::string_view text, const std::string& path) {
  if (!text.starts_with('(') || text.find(')') == std::string_view::npos) Fail(path, "field 'shape' is not a tuple");
  text = Until(text.substr(1), ')');
  std::vector<int64_t> shape;
  while (text.find_first_not_of(" \t") != std::string_view::npos) {
    text.remove_prefix(text.find_first_not_of(" \t"));
    const std::string_view size = Until(text, ',');
    int64_t n = -1;
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), n);
    const bool whole = size.find_first_not_of(" \t", static_cast<size_t>(end - size.data())) == std::string_view::npos;
    if (error != std::errc() || n < 0 || !whole) Fail(path, fmt::format("field 'shape' holds '{}'", size));
    shape.push_back(n);
    text.remove_prefix(std::min(size.size() + 1, text.size()));
  }
  return shape;
}

// Bytes of a float32 array; an error where they cannot be counted.
size_t ArrayBytes(const std::vector<int64_t>& shape, const std::string& path) {
  size_t bytes = sizeof(float);
  for (const int64_t n : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(n), &bytes)) Fail(path, "field 'shape' is too large");
  }
  return bytes;
}

}  // namespace

NpyFile::NpyFile(const std::filesystem::path& path) : file_(path) {
  const std::string name = path.string();
  const auto bytes = file_.bytes();
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  if (bytes.size() < 12 || std::memcmp(p, "\x93NUMPY", 6) != 0) throw DataError("{} is not a .npy file", name);
  const bool wide = p[6] >= 2;
  const size_t start = wide ? 12 : 10;
  const size_t length = wide ? p[8] | p[9] << 8 | p[10] << 16 | static_cast<size_t>(p[11]) << 24 : p[8] | p[9] << 8;
  if (start + length > bytes.size()) throw DataError("{}: the .npy header is cut off", name);
  if (length > kMaxHeaderBytes) Fail(name, fmt::format("a .npy header of {} bytes", length));
  const std::string_view header(reinterpret_cast<const char*>(p) + start, length);
  const std::string_view quoted = Field(header, "descr", name);
  const std::string_view dtype = quoted.starts_with('\'') ? Until(quoted.substr(1), '\'') : Until(quoted, ',');
  if (dtype != "<f4")
    throw DataError("{}: dtype '{}' is not float32 ('<f4'); convert it with numpy's astype", name, dtype);
  if (!Field(header, "fortran_order", name).starts_with("False")) {
    throw DataError("{}: the array is in Fortran order; save it in C order (numpy.ascontiguousarray)", name);
  }
  shape_ = ParseShape(Field(header, "shape", name), name);
  const size_t held = bytes.size() - start - length, promised = ArrayBytes(shape_, name);
  if (held != promised) {
    throw DataError("{}: the header promises {} bytes of data, the file holds {}", name, promised, held);
  }
  if ((start + length) % sizeof(float) != 0) {
    Fail(name, fmt::format("its data begins at byte {}, not at a multiple of {}", start + length, sizeof(float)));
  }
  values_ = {reinterpret_cast<const float*>(p + start + length), promised / sizeof(float)};
}

std::string NpyHeader(std::span<const int64_t> shape) {
  std::string dims;
  for (const int64_t n : shape) dims += fmt::format("{},", n);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims);
  header.append(63 - (10 + header.size()) % 64, ' ');
  header.push_back('\n');
  std::string content("\x93NUMPY\x01\x00", 8);
  content.push_back(static_cast<char>(header.size() & 255));
  content.push_back(static_cast<char>(header.size() >> 8));
  return content + header;
}

void WriteNpy(const std::filesystem::path& path, std::span<const int64_t> shape, std::span<const float> values) {
  std::string content = NpyHeader(shape);
  content.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  WriteFileAtomic(path, content);
}

}  // namespace hullft
