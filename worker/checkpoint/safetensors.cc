#include "worker/checkpoint/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "common/error.h"
#include "worker/checkpoint/ggml_types.h"

namespace hullft::worker {
namespace {

using nlohmann::json;
static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr const char* kDamaged = "the file is damaged or was not downloaded completely: fetch it again";

[[noreturn]] void Fail(const std::string& message) {
  throw Error(Code::kData, message, kDamaged);
}

// Bytes of one element, or nothing for a dtype that the format does not define.
std::optional<uint64_t> ElementBytes(const std::string& dtype) {
  static const std::map<std::string, uint64_t> kBytes = {
      {"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4},     {"U32", 4},     {"F16", 2}, {"BF16", 2},
      {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};
  const auto found = kBytes.find(dtype);
  if (found == kBytes.end()) return std::nullopt;
  return found->second;
}

// A tensor's entry: where it lies within the data section.
struct Range {
  uint64_t begin, end;
  std::string name;
};

json ParseJsonHeader(const std::string& path, std::string_view text) {
  std::set<std::string> names;
  std::string twice;
  const auto watch_names = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second) {
      twice = value.get<std::string>();
    }
    return true;
  };
  json header;
  try {
    header = json::parse(text.begin(), text.end(), watch_names);
  } catch (const json::exception& error) {
    Fail(fmt::format("{}: the header is not JSON: {}", path, error.what()));
  }
  if (!header.is_object()) Fail(fmt::format("{}: the header is not a JSON object", path));
  if (!twice.empty()) Fail(fmt::format("{}: tensor {}: named twice in the header", path, twice));
  return header;
}

std::vector<int64_t> ReadShape(const std::string& where, const json& entry) {
  const auto field = entry.find("shape");
  if (field == entry.end() || !field->is_array()) Fail(where + ": field shape is missing or not an array");
  std::vector<int64_t> shape;
  for (const json& size : *field) {
    if (!size.is_number_unsigned() || !std::in_range<int64_t>(size.get<uint64_t>()))
      Fail(where + ": field shape holds something else than whole numbers from 0 to 2^63 - 1");
    shape.push_back(static_cast<int64_t>(size.get<uint64_t>()));
  }
  return shape;
}

Range ReadOffsets(const std::string& where, const std::string& name, const json& entry, uint64_t data_bytes) {
  const auto field = entry.find("data_offsets");
  if (field == entry.end() || !field->is_array() || field->size() != 2 || !(*field)[0].is_number_unsigned() ||
      !(*field)[1].is_number_unsigned()) {
    Fail(where + ": field data_offsets is not a pair of whole numbers from 0 up");
  }
  Range range{(*field)[0].get<uint64_t>(), (*field)[1].get<uint64_t>(), name};
  if (range.begin > range.end || range.end > data_bytes) {
    Fail(fmt::format("{}: field data_offsets is [{}, {}], but the file has {} bytes of data", where, range.begin,
                     range.end, data_bytes));
  }
  return range;
}

void CheckSize(const std::string& where, const TensorView& tensor, const Range& range) {
  const std::optional<uint64_t> element = ElementBytes(tensor.dtype);
  if (!element) Fail(fmt::format("{}: field dtype is {}, which is not known", where, tensor.dtype));
  auto bytes = static_cast<int64_t>(*element);  // signed, as is every product of dimensions elsewhere
  for (const int64_t size : tensor.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      Fail(fmt::format("{}: field shape {} is too large", where, ShapeText(tensor.shape)));
    }
  }
  if (static_cast<uint64_t>(bytes) != range.end - range.begin) {
    Fail(fmt::format("{}: field shape {} of {} needs {} bytes, but data_offsets has {}", where, ShapeText(tensor.shape),
                     tensor.dtype, bytes, range.end - range.begin));
  }
}

// The tensors must cover the data section exactly.
void CheckCoverage(const std::string& path, std::vector<Range> ranges, uint64_t data_bytes) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t position = 0;
  for (const Range& range : ranges) {
    if (range.begin != position) {
      Fail(fmt::format("{}: tensor {}: field data_offsets begins at {}, {} the end of the tensor before it ({})", path,
                       range.name, range.begin, range.begin < position ? "inside or before" : "leaving a hole after",
                       position));
    }
    position = range.end;
  }
  if (position != data_bytes) {
    Fail(fmt::format("{}: the tensors end at byte {} of the data, the file at {}", path, position, data_bytes));
  }
}

}  // namespace

std::string ShapeText(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

int64_t ElementCount(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path.string()), file_(path) {
  ParseHeader();
}

void SafetensorsFile::ParseHeader() {
  const std::span<const std::byte> all = file_.bytes();
  if (all.size() < 8) Fail(fmt::format("{}: {} bytes, too short for a header length", path_, all.size()));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, all.data(), 8);
  if (header_bytes > kMaxHeaderBytes || header_bytes > all.size() - 8) {
    Fail(fmt::format("{}: the header length says {} bytes, but the file has {}", path_, header_bytes, all.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(all.data()) + 8, header_bytes);
  const std::span<const std::byte> data = all.subspan(8 + header_bytes);
  const json header = ParseJsonHeader(path_, text);
  std::vector<Range> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string where = fmt::format("{}: tensor {}", path_, name);
    if (!entry.is_object()) Fail(where + ": its entry is not a JSON object");
    const auto dtype = entry.find("dtype");
    if (dtype == entry.end() || !dtype->is_string()) Fail(where + ": field dtype is missing or not a string");
    TensorView tensor{path_, dtype->get<std::string>(), ReadShape(where, entry), {}};
    const Range range = ReadOffsets(where, name, entry, data.size());
    CheckSize(where, tensor, range);
    tensor.bytes = data.subspan(range.begin, range.end - range.begin);
    tensors_.emplace(name, std::move(tensor));
    ranges.push_back(range);
  }
  CheckCoverage(path_, std::move(ranges), data.size());
}

float FromHalf(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
  if (rest >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000u | rest << 13);  // infinite or not a number
  if (rest >= 0x0400) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float magnitude = std::bit_cast<float>(0x3f000000u | rest) - 0.5f;  // subnormal: rest x 2^-24
  return sign != 0 ? -magnitude : magnitude;
}

namespace {

// As CopyAsFloat32, in the order of the file.
void CopyInOrder(const std::string& name, const TensorView& tensor, std::span<float> out) {
  const std::byte* bytes = tensor.bytes.data();
  const GgmlType* packed = FindGgmlType(tensor.dtype);
  if (tensor.dtype == "F32") {
    if (!out.empty()) std::memcpy(out.data(), bytes, out.size_bytes());
  } else if (tensor.dtype == "F16" || tensor.dtype == "BF16") {
    const bool brain = tensor.dtype == "BF16";
    for (size_t i = 0; i < out.size(); ++i) {
      uint16_t bits = 0;  // memcpy: nothing promises that the data is aligned
      std::memcpy(&bits, bytes + 2 * i, 2);
      out[i] = brain ? std::bit_cast<float>(uint32_t{bits} << 16) : FromHalf(bits);
    }
  } else if (packed != nullptr) {
    const auto block = static_cast<size_t>(packed->elements);
    for (size_t i = 0; i < out.size() / block; ++i)
      packed->unpack(bytes + i * static_cast<size_t>(packed->bytes), out.data() + i * block);
  } else {
    throw Error(Code::kData,
                fmt::format("{}: tensor {}: field dtype is {}, weights must be F32, F16 or BF16", tensor.file, name,
                            tensor.dtype),
                "convert the checkpoint to float32, float16 or bfloat16");
  }
  if (tensor.shift != 0) std::ranges::transform(out, out.begin(), [&](float x) { return x + tensor.shift; });
}

// Where the file has a row.
size_t SourceRow(TensorLayout layout, size_t row, size_t rows, size_t heads) {
  const size_t head = row / (rows / heads), within = row % (rows / heads);
  if (layout == TensorLayout::kInterleaved) {
    const size_t half = rows / heads / 2;
    return row - within + within % half * 2 + within / half;
  }
  const size_t width = rows / heads / 3;  // kByPart
  return (within / width * heads + head) * width + within % width;
}

}  // namespace

void CopyAsFloat32(const std::string& name, const TensorView& tensor, std::span<float> out) {
  if (tensor.layout == TensorLayout::kPlain || out.empty()) return CopyInOrder(name, tensor, out);
  std::vector<float> given(out.size());
  CopyInOrder(name, tensor, given);
  const auto rows = static_cast<size_t>(tensor.shape[0]), columns = out.size() / rows;
  if (tensor.layout == TensorLayout::kTransposed) {
    for (size_t row = 0; row < rows; ++row)
      for (size_t column = 0; column < columns; ++column) out[row * columns + column] = given[column * rows + row];
    return;
  }
  for (size_t row = 0; row < rows; ++row) {
    const size_t source = SourceRow(tensor.layout, row, rows, static_cast<size_t>(tensor.heads));
    std::copy_n(given.begin() + static_cast<std::ptrdiff_t>(source * columns), columns,
                out.begin() + static_cast<std::ptrdiff_t>(row * columns));
  }
}

}  // namespace hullft::worker
