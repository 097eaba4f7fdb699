// Which index a corpus has, by FAISS's factory string: Flat, IVFn,Flat, IVFn,SQ8, IVFn,PQm, HNSWm (n lists; m bytes of
// a code, or neighbours of a point). Thread safety: values.
#pragma once

#include <string>

namespace hullft::index {

enum class IndexKind { kFlat, kIvf, kHnsw };

struct IndexType {
  std::string name = "Flat";
  IndexKind kind = IndexKind::kFlat;
  int lists = 0;            // of an IVF
  std::string code;         // of an IVF: "Flat", "SQ8", "PQm"
  int links = 0;            // of HNSW: neighbours of a point
  double oversampling = 1;  // candidates for each wanted row, because codes order them only about right
  // What Search's effort is called: "nprobe", "efSearch"; "" for Flat.
  const char* EffortName() const;
  // The most that makes sense: all lists, or all of HNSW's candidates.
  int MostEffort() const;

  // Throws kUsage for a name that is not one of the above, or does not fit the width (0: not known yet).
  static IndexType Parse(const std::string& name, int dim);
};

}  // namespace hullft::index
