#include "index/faiss_flat_file.h"

#include <algorithm>
#include <cstring>

#include "common/error.h"

namespace hullft::index {
namespace {

constexpr std::string_view kFlat[] = {"IxFI", "IxF2", "IxFl"};  // inner product, L2, any metric
constexpr std::string_view kIdMaps[] = {"IxMp", "IxM2"};

bool IsOneOf(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

// The bytes of a file, taken from its beginning.
class Taker {
 public:
  Taker(std::span<const std::byte> bytes, std::string path) : bytes_(bytes), path_(std::move(path)) {}
  template <class T>
  T Take() {
    T value;
    std::memcpy(&value, Skip(sizeof value), sizeof value);
    return value;
  }
  // The bytes of `count` values, each of `size`, and where they begin.
  size_t TakeMany(uint64_t count, uint64_t size) {
    if (count > (bytes_.size() - at_) / size) Fail();
    const size_t begin = at_;
    Skip(count * size);
    return begin;
  }
  std::string TakeWord() { return std::string(reinterpret_cast<const char*>(Skip(4)), 4); }
  bool at_end() const { return at_ == bytes_.size(); }
  [[noreturn]] void Fail() const {
    throw Error(Code::kData, path_ + " is cut off, or its counts are wrong", "get the file again, or write it anew");
  }

 private:
  const std::byte* Skip(size_t n) {
    if (n > bytes_.size() - at_) Fail();
    at_ += n;
    return bytes_.data() + at_ - n;
  }
  const std::span<const std::byte> bytes_;
  const std::string path_;
  size_t at_ = 0;
};

struct IndexHeader {
  int dim = 0;
  int64_t rows = 0;
};

// What every index begins with, after the word of its kind.
IndexHeader TakeHeader(Taker* from) {
  IndexHeader header;
  header.dim = from->Take<int32_t>();
  header.rows = from->Take<int64_t>();
  from->TakeMany(2, sizeof(int64_t));  // of old versions
  from->TakeMany(1, 1);                // is it trained?
  const auto metric = from->Take<int32_t>();
  if (metric > 1) from->TakeMany(1, sizeof(float));  // the metric's argument
  if (header.dim < 1 || header.rows < 0) from->Fail();
  return header;
}

}  // namespace

bool FaissFlatFile::Is(const std::string& path) {
  const MappedFile file(path);
  const auto* word = reinterpret_cast<const char*>(file.bytes().data());
  return file.bytes().size() >= 4 && word[0] == 'I' && (word[1] == 'x' || word[1] == 'w' || word[1] == 'H');
}

FaissFlatFile::FaissFlatFile(const std::string& path) : file_(path) {
  Taker from(file_.bytes(), path);
  std::string kind = from.TakeWord();
  const bool mapped = IsOneOf(kind, kIdMaps);
  if (mapped) {
    TakeHeader(&from);
    kind = from.TakeWord();
  }
  if (!IsOneOf(kind, kFlat)) {
    throw Error(Code::kData, fmt::format("{} is an index of FAISS of the kind {}, not a flat one", path, kind),
                "only flat indexes hold the vectors as they were; in Python: index.reconstruct_n(0, index.ntotal), "
                "numpy.save, and --npy");
  }
  const IndexHeader header = TakeHeader(&from);
  rows_ = header.rows;
  dim_ = header.dim;
  const auto values = from.Take<uint64_t>();
  if (values % static_cast<uint64_t>(dim_) != 0 || values / static_cast<uint64_t>(dim_) != static_cast<uint64_t>(rows_))
    from.Fail();
  vectors_ = from.TakeMany(values, sizeof(float));
  if (mapped) {
    if (from.Take<uint64_t>() != static_cast<uint64_t>(rows_)) from.Fail();
    ids_.resize(static_cast<size_t>(rows_));
    const size_t ids = from.TakeMany(ids_.size(), sizeof(int64_t));
    if (!ids_.empty()) std::memcpy(ids_.data(), file_.bytes().data() + ids, ids_.size() * sizeof(int64_t));
  }
  if (!from.at_end()) from.Fail();
}

void FaissFlatFile::Read(int64_t row, std::span<float> out) const {
  HULLFT_CHECK(row >= 0 && row < rows_ && out.size() == static_cast<size_t>(dim_));
  std::memcpy(out.data(), file_.bytes().data() + vectors_ + static_cast<size_t>(row) * out.size_bytes(),
              out.size_bytes());
}

}  // namespace hullft::index
