#include "coordinator/oracle.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "common/error.h"
#include "common/parallel.h"
#include "coordinator/blas.h"

namespace hullft::coordinator {
namespace {

class BlasThreads {
 public:
  explicit BlasThreads(int threads) {
    if (MKL_Set_Num_Threads_Local != nullptr) before_ = MKL_Set_Num_Threads_Local(threads);
  }
  ~BlasThreads() {
    if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(before_);
  }
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;

 private:
  int before_ = 0;
};

// Lanes, so that the compiler can use the machine's maximum instruction. Values are finite.
float Largest(const float* values, size_t n) {
  constexpr size_t kLanes = 16;
  float lane[kLanes];
  std::fill(lane, lane + kLanes, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) lane[l] = values[i + l] > lane[l] ? values[i + l] : lane[l];
  }
  for (; i < n; ++i) lane[0] = std::max(lane[0], values[i]);
  return *std::max_element(lane, lane + kLanes);
}

// What is known of one query while the blocks go by.
struct Search {
  struct Candidate {
    float score;
    const OraclePart* part;
    size_t row;
  };
  double slack = 0;  // two scores may be this far out of order
  double best = -std::numeric_limits<double>::infinity();
  std::vector<Candidate> candidates;

  void Block(const float* scores, const OraclePart& part, size_t first, size_t rows) {
    const auto largest = static_cast<double>(Largest(scores, rows));
    best = std::max(best, largest);
    const double least = best - slack;
    if (largest < least) return;
    for (size_t i = 0; i < rows; ++i) {
      if (static_cast<double>(scores[i]) >= least) candidates.push_back({scores[i], &part, first + i});
    }
  }
  void Merge(const Search& other) {
    best = std::max(best, other.best);
    candidates.insert(candidates.end(), other.candidates.begin(), other.candidates.end());
  }
};

struct RowBlock {
  const OraclePart* part;
  size_t first, rows;
};

// Each thread takes block after block and multiplies alone: no thread ever waits for another before the end.
std::vector<Search> SearchBlocks(std::span<const OraclePart> parts, std::span<const float> directions,
                                 std::span<const double> slacks, size_t d, int threads) {
  const size_t count = slacks.size();
  const size_t size = std::clamp<size_t>((size_t{1} << 18) / std::max<size_t>(count, 1), 1024, 8192);
  std::vector<RowBlock> blocks;
  for (const OraclePart& part : parts) {
    for (size_t first = 0; first < part.ids.size(); first += size)
      blocks.push_back({&part, first, std::min(size, part.ids.size() - first)});
  }
  std::vector<std::vector<Search>> found(static_cast<size_t>(threads), std::vector<Search>(count));
  std::atomic<size_t> next = 0;
  ParallelFor(threads, threads, [&](int64_t thread) {
    const BlasThreads alone(1);
    std::vector<Search>& searches = found[static_cast<size_t>(thread)];
    for (size_t q = 0; q < count; ++q) searches[q].slack = slacks[q];
    std::vector<float> scores(size * count);
    const int n = static_cast<int>(count), width = static_cast<int>(d);
    const float one = 1, zero = 0;
    for (size_t b = next++; b < blocks.size(); b = next++) {
      const RowBlock& block = blocks[b];
      const int rows = static_cast<int>(block.rows);
      sgemm_("T", "N", &rows, &n, &width, &one, block.part->rows.data() + block.first * d, &width, directions.data(),
             &width, &zero, scores.data(), &rows);
      for (size_t q = 0; q < count; ++q)
        searches[q].Block(scores.data() + q * block.rows, *block.part, block.first, block.rows);
    }
  });
  for (size_t t = 1; t < found.size(); ++t) {
    for (size_t q = 0; q < count; ++q) found[0][q].Merge(found[t][q]);
  }
  return std::move(found[0]);
}

}  // namespace

Oracle::Oracle(std::vector<OraclePart> parts, int d, int threads)
    : parts_(std::move(parts)), d_(static_cast<size_t>(d)), threads_(std::max(1, threads)) {
  constexpr size_t kRows = 4096;
  for (const OraclePart& part : parts_) {
    HULLFT_CHECK(part.rows.size() == part.ids.size() * d_);
    const size_t blocks = (part.ids.size() + kRows - 1) / kRows;
    std::vector<double> longest(blocks, 0);
    ParallelFor(static_cast<int64_t>(blocks), threads_, [&](int64_t block) {
      const size_t first = static_cast<size_t>(block) * kRows;
      for (size_t i = first; i < std::min(first + kRows, part.ids.size()); ++i) {
        double square = 0;
        for (const float x : part.rows.subspan(i * d_, d_)) square += static_cast<double>(x) * x;
        if (!std::isfinite(square)) throw DataError("the embedding of sequence {} is not finite", part.ids[i].value);
        longest[static_cast<size_t>(block)] = std::max(longest[static_cast<size_t>(block)], std::sqrt(square));
      }
    });
    for (const double length : longest) longest_ = std::max(longest_, length * (1 + 0x1p-30));
  }
}

std::vector<OracleAnswer> Oracle::Ask(std::span<const select::Trajectory* const> queries) const {
  const size_t count = queries.size();
  std::vector<float> directions(count * d_);
  std::vector<double> slacks(count);
  for (size_t q = 0; q < count; ++q) {
    const std::span<const double> direction = queries[q]->direction();
    double square = 0;
    for (const double x : direction) square += x * x;
    if (!(std::sqrt(square) * longest_ < 1e37)) {
      throw DataError("embeddings of length {:.3g} are too long to be multiplied in float32", longest_);
    }
    std::transform(direction.begin(), direction.end(), directions.begin() + static_cast<int64_t>(q * d_),
                   [](double x) { return static_cast<float>(x); });
    slacks[q] = 2 * queries[q]->Float32Error(longest_);
  }
  const std::vector<Search> searches = SearchBlocks(parts_, directions, slacks, d_, threads_);
  std::vector<OracleAnswer> answers(count);
  ParallelFor(static_cast<int64_t>(count), threads_, [&](int64_t place) {
    const auto q = static_cast<size_t>(place);
    OracleAnswer& answer = answers[q];
    for (const Search::Candidate& candidate : searches[q].candidates) {
      if (static_cast<double>(candidate.score) < searches[q].best - searches[q].slack) continue;
      const std::span<const float> row = candidate.part->rows.subspan(candidate.row * d_, d_);
      const double score = queries[q]->Score(row);
      const uint64_t id = candidate.part->ids[candidate.row].value;
      if (score > answer.score || (score == answer.score && id < answer.id)) answer = {score, id, row};
    }
  });
  return answers;
}

}  // namespace hullft::coordinator
