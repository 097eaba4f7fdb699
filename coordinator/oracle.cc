#include "coordinator/oracle.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/parallel.h"
#include "index/best_rows.h"

namespace hullft::coordinator {
namespace {

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
    const auto largest = static_cast<double>(index::Largest(scores, rows));
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

std::vector<Search> SearchBlocks(std::span<const OraclePart> parts, std::span<const float> directions,
                                 std::span<const double> slacks, size_t d, int threads) {
  const size_t count = slacks.size();
  std::vector<index::EmbeddingRows> rows;
  for (const OraclePart& part : parts) rows.push_back(part.rows);
  std::vector<std::vector<Search>> found(static_cast<size_t>(threads), std::vector<Search>(count));
  for (auto& searches : found) {
    for (size_t q = 0; q < count; ++q) searches[q].slack = slacks[q];
  }
  index::ScanBlocks(rows, directions, d, threads, [&](size_t thread, const index::ScoreBlock& block) {
    for (size_t q = 0; q < count; ++q)
      found[thread][q].Block(block.scores + q * block.rows, parts[block.part], block.first, block.rows);
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
    HULLFT_CHECK(part.rows.size() == part.ids.size() && (part.ids.empty() || part.rows.dim == d_));
    const size_t blocks = (part.ids.size() + kRows - 1) / kRows;
    std::vector<double> longest(blocks, 0);
    ParallelFor(static_cast<int64_t>(blocks), threads_, [&](int64_t block) {
      const size_t first = static_cast<size_t>(block) * kRows, end = std::min(first + kRows, part.ids.size());
      std::vector<float> scratch;
      const std::span<const float> values = part.rows.Get(first, end - first, &scratch);
      for (size_t i = first; i < end; ++i) {
        double square = 0;
        for (const float x : values.subspan((i - first) * d_, d_)) square += static_cast<double>(x) * x;
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
    std::vector<float> scratch;
    for (const Search::Candidate& candidate : searches[q].candidates) {
      if (static_cast<double>(candidate.score) < searches[q].best - searches[q].slack) continue;
      const std::span<const float> row = candidate.part->rows.Get(candidate.row, 1, &scratch);
      const double score = queries[q]->Score(row);
      const uint64_t id = candidate.part->ids[candidate.row].value;
      if (score > answer.score || (score == answer.score && id < answer.id))
        answer = {score, id, {row.begin(), row.end()}};
    }
  });
  return answers;
}

}  // namespace hullft::coordinator
