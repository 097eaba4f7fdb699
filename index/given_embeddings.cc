#include "index/given_embeddings.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <limits>

#include "common/error.h"
#include "common/npy.h"
#include "common/parallel.h"
#include "common/vector_check.h"
#include "index/faiss_flat_file.h"
#include "index/partition_files.h"

namespace hullft::index {
namespace {

class NpyEmbeddings final : public GivenEmbeddings {
 public:
  explicit NpyEmbeddings(const std::string& path) : file_(path) {
    if (file_.shape().size() != 2 || file_.shape()[1] < 1 || file_.shape()[1] > std::numeric_limits<int>::max()) {
      throw DataError("{}: embeddings must have the shape [records][width], it has {} dimensions", path,
                      file_.shape().size());
    }
    rows_ = file_.shape()[0];
    dim_ = static_cast<int>(file_.shape()[1]);
  }
  std::span<const float> Row(int64_t r, std::vector<float>*) const override {
    const auto d = static_cast<size_t>(dim_);
    return file_.values().subspan(static_cast<size_t>(r) * d, d);
  }
  void Release() const override { file_.Release(); }

 private:
  const NpyFile file_;
};

class FaissEmbeddings final : public GivenEmbeddings {
 public:
  explicit FaissEmbeddings(const std::string& path) : file_(path) { rows_ = file_.rows(), dim_ = file_.dim(); }
  std::span<const int64_t> ids() const { return file_.ids(); }
  std::span<const float> Row(int64_t r, std::vector<float>* scratch) const override {
    scratch->resize(static_cast<size_t>(dim_));
    file_.Read(r, *scratch);
    return *scratch;
  }
  void Release() const override { file_.Release(); }

 private:
  const FaissFlatFile file_;
};

// Row `record` is the row of another that belongs to it.
class OrderedEmbeddings final : public GivenEmbeddings {
 public:
  // order: of each row, its record.
  OrderedEmbeddings(std::unique_ptr<GivenEmbeddings> given, std::span<const int64_t> order, const std::string& name)
      : given_(std::move(given)), row_of_(order.size(), -1) {
    rows_ = given_->rows(), dim_ = given_->dim();
    if (static_cast<int64_t>(order.size()) != rows_)
      throw DataError("{} names {} records, there are {} rows", name, order.size(), rows_);
    for (size_t row = 0; row < order.size(); ++row) {
      const int64_t record = order[row];
      if (record < 0 || record >= rows_ || row_of_[static_cast<size_t>(record)] >= 0) {
        throw Error(Code::kData,
                    fmt::format("{}: row {} (from 0) is of record {}, which is {}", name, row, record,
                                record < 0 || record >= rows_ ? "none of the input" : "that of another row too"),
                    fmt::format("each of the records 0 to {} must be named once", rows_ - 1));
      }
      row_of_[static_cast<size_t>(record)] = static_cast<int64_t>(row);
    }
  }
  std::span<const float> Row(int64_t r, std::vector<float>* scratch) const override {
    return given_->Row(row_of_[static_cast<size_t>(r)], scratch);
  }
  void Release() const override { given_->Release(); }

 private:
  const std::unique_ptr<GivenEmbeddings> given_;
  std::vector<int64_t> row_of_;  // of each record
};

class CorpusEmbeddings final : public GivenEmbeddings {
 public:
  explicit CorpusEmbeddings(std::span<const CorpusInfo> corpora) {
    for (const CorpusInfo& corpus : corpora) {
      dim_ = corpus.dim;
      for (int p = 0; p < corpus.partitions; ++p) {
        const auto folder = PartitionFolder(corpus.folder, p);
        first_.push_back(rows_);
        parts_.push_back(OpenFlatIndex(folder, ReadPartitionManifest(folder)));
        rows_ += parts_.back()->size();
      }
    }
  }
  std::span<const float> Row(int64_t r, std::vector<float>* scratch) const override {
    const auto part = static_cast<size_t>(std::ranges::upper_bound(first_, r) - first_.begin() - 1);
    return parts_[part]->rows().Get(static_cast<size_t>(r - first_[part]), 1, scratch);
  }
  void Release() const override {
    for (const auto& part : parts_) part->Release();
  }

 private:
  std::vector<std::unique_ptr<FlatIndex>> parts_;
  std::vector<int64_t> first_;  // row of each part
};

// One whole number a line.
std::vector<int64_t> ReadOrder(const std::string& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::vector<int64_t> order;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const char* first = text.data() + begin;
    int64_t record = 0;
    const auto [stop, fault] = std::from_chars(first, text.data() + end, record);
    if (fault != std::errc() || (stop != text.data() + end && std::string_view(stop, text.data() + end) != "\r")) {
      throw Error(Code::kData, fmt::format("{}:{}: not the number of a record", path, order.size() + 1),
                  "a line for each row: the record it belongs to, from 0 (numpy.savetxt(file, order, fmt='%d'))");
    }
    order.push_back(record);
    begin = end + 1;
  }
  return order;
}

}  // namespace

std::unique_ptr<GivenEmbeddings> OpenEmbeddings(const std::string& path, const std::string& row_order, int dim_wanted) {
  std::unique_ptr<GivenEmbeddings> given;
  std::vector<int64_t> order;
  if (FaissFlatFile::Is(path)) {
    auto faiss = std::make_unique<FaissEmbeddings>(path);
    order.assign(faiss->ids().begin(), faiss->ids().end());
    given = std::move(faiss);
  } else {
    given = std::make_unique<NpyEmbeddings>(path);
  }
  if (dim_wanted != 0 && given->dim() != dim_wanted) {
    throw Error(Code::kData,
                fmt::format("{}: the embeddings are {} wide, the encoder's are {}", path, given->dim(), dim_wanted),
                "give the encoder that made them, or none");
  }
  if (!row_order.empty()) order = ReadOrder(row_order);
  if (row_order.empty() && order.empty()) return given;
  return std::make_unique<OrderedEmbeddings>(std::move(given), order, row_order.empty() ? path : row_order);
}

std::unique_ptr<GivenEmbeddings> EmbeddingsOf(std::span<const CorpusInfo> corpora) {
  return std::make_unique<CorpusEmbeddings>(corpora);
}

void GivenEmbeddings::Check(const std::string& path, int threads) const {
  constexpr int64_t kRows = 16 << 10;
  const int64_t blocks = (rows() + kRows - 1) / kRows;
  std::vector<NormRange> ranges(static_cast<size_t>(blocks));
  std::vector<std::exception_ptr> faults(ranges.size());
  ParallelFor(blocks, threads, [&](int64_t b) {
    NormRange& range = ranges[static_cast<size_t>(b)];
    std::vector<float> scratch;
    try {
      for (int64_t r = b * kRows; r < std::min(rows(), (b + 1) * kRows); ++r) {
        const auto place = [r](int64_t) { return fmt::format("row {} (from 0)", r); };
        const NormRange one = CheckVectors(Row(r, &scratch), dim(), path, place);
        if (one.least < range.least) range.least = one.least, range.least_row = r;
        if (one.most > range.most) range.most = one.most, range.most_row = r;
      }
    } catch (...) {
      faults[static_cast<size_t>(b)] = std::current_exception();  // the first of the file is to be told
    }
    if (b % 8 == 0) Release();
  });
  NormRange all;
  for (size_t b = 0; b < ranges.size(); ++b) {
    if (faults[b]) std::rethrow_exception(faults[b]);
    if (ranges[b].least < all.least) all.least = ranges[b].least, all.least_row = ranges[b].least_row;
    if (ranges[b].most > all.most) all.most = ranges[b].most, all.most_row = ranges[b].most_row;
  }
  WarnUnlessUnit(all, path, [](int64_t row) { return fmt::format("row {} (from 0)", row); });
}

}  // namespace hullft::index
