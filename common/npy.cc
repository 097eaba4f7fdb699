#include "common/npy.h"

#include <cstring>
#include <regex>

#include "common/error.h"

namespace hullft {
namespace {

std::string Field(const std::string& header, const char* pattern, const std::string& path, const char* name) {
  std::smatch match;
  if (!std::regex_search(header, match, std::regex(pattern))) {
    throw DataError("{}: the .npy header has no field '{}'", path, name);
  }
  return match[1];
}

std::vector<int64_t> ParseShape(const std::string& text) {
  std::vector<int64_t> shape;
  static const std::regex number("[0-9]+");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), number); it != std::sregex_iterator(); ++it) {
    shape.push_back(std::stoll(it->str()));
  }
  return shape;
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
  const std::string header(reinterpret_cast<const char*>(p) + start, length);
  const std::string dtype = Field(header, R"('descr'\s*:\s*'([^']*)')", name, "descr");
  if (dtype != "<f4")
    throw DataError("{}: dtype '{}' is not float32 ('<f4'); convert it with numpy's astype", name, dtype);
  if (Field(header, R"('fortran_order'\s*:\s*(\w+))", name, "fortran_order") != "False") {
    throw DataError("{}: the array is in Fortran order; save it in C order (numpy.ascontiguousarray)", name);
  }
  shape_ = ParseShape(Field(header, R"('shape'\s*:\s*\(([^)]*)\))", name, "shape"));
  size_t count = 1;
  for (const int64_t n : shape_) count *= static_cast<size_t>(n);
  const size_t held = bytes.size() - start - length;
  if (held != count * sizeof(float)) {
    throw DataError("{}: the header promises {} bytes of data, the file holds {}", name, count * sizeof(float), held);
  }
  values_ = {reinterpret_cast<const float*>(p + start + length), count};
}

void WriteNpy(const std::filesystem::path& path, std::span<const int64_t> shape, std::span<const float> values) {
  std::string dims;
  for (const int64_t n : shape) dims += fmt::format("{},", n);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims);
  header.append(63 - (10 + header.size()) % 64, ' ');
  header.push_back('\n');
  std::string content("\x93NUMPY\x01\x00", 8);
  content.push_back(static_cast<char>(header.size() & 255));
  content.push_back(static_cast<char>(header.size() >> 8));
  content += header;
  content.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  WriteFileAtomic(path, content);
}

}  // namespace hullft
