// Scores of the rows of an IVFn,SQ8 by their codes, without decoding them: FAISS's QT_8bit has a lowest value l_j and a
// width v_j for each dimension j, and a code c stands for l_j + v_j (c + 1/2) / 255. The product of a query q with a
// row is then offset + scale sum_j w_j c_j with whole numbers w_j ~ q_j v_j / (255 scale), made once a query: the sum
// is exact, so that a row's score is the same in every order of work. Letters: n rows, d width. Thread safety: free
// functions, values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hullft::index {

struct CodeQuery {
  std::vector<int16_t> weights;  // [d]; so small that no sum leaves 32 bits
  float scale = 0, offset = 0;
};

// query: [d]. trained: FAISS's numbers, [2 d]: all l_j, then all v_j.
CodeQuery MakeCodeQuery(std::span<const float> query, std::span<const float> trained);

// scores[i] = base + offset + scale sum_j w_j codes[i * d + j]. codes: [n][d]. base: the score of the list's centre,
// where codes are of what a row differs from it.
void ScoreCodes(const CodeQuery& query, float base, const uint8_t* codes, size_t n, float* scores);

}  // namespace hullft::index
