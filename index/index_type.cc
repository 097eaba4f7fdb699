#include "index/index_type.h"

#include <regex>

#include "common/error.h"

namespace hullft::index {
namespace {

// SQ8's order is nearly the exact one, PQ's is not: measured as recall when the corpus is built, whatever they are.
constexpr double kOversamplingSq8 = 1.25, kOversamplingPq = 8;
constexpr int kMostEfSearch = 4096;

Error Unknown(const std::string& name, const std::string& why) {
  return Error(Code::kUsage, fmt::format("'{}' is not an index type{}", name, why),
               "--index is Flat, IVFn,Flat, IVFn,SQ8, IVFn,PQm or HNSWm, for example IVF1024,SQ8");
}

}  // namespace

const char* IndexType::EffortName() const {
  return kind == IndexKind::kFlat ? "" : kind == IndexKind::kIvf ? "nprobe" : "efSearch";
}

int IndexType::MostEffort() const {
  return kind == IndexKind::kIvf ? lists : kMostEfSearch;
}

IndexType IndexType::Parse(const std::string& name, int dim) {
  static const std::regex ivf("IVF([0-9]{1,7}),(Flat|SQ8|PQ([0-9]{1,4}))"), hnsw("HNSW([0-9]{1,3})");
  IndexType type;
  type.name = name;
  std::smatch match;
  if (name == "Flat") return type;
  if (std::regex_match(name, match, hnsw)) {
    type.kind = IndexKind::kHnsw;
    type.links = std::stoi(match[1]);
    if (type.links < 2 || type.links > 256) throw Unknown(name, ": HNSW's neighbours are 2 to 256");
    return type;
  }
  if (!std::regex_match(name, match, ivf)) throw Unknown(name, "");
  type.kind = IndexKind::kIvf;
  type.lists = std::stoi(match[1]);
  type.code = match[2];
  if (type.lists < 1) throw Unknown(name, ": it has no lists");
  if (type.code == "SQ8") type.oversampling = kOversamplingSq8;
  if (!match[3].matched) return type;
  type.oversampling = kOversamplingPq;
  const int bytes = std::stoi(match[3]);
  if (bytes < 1 || (dim > 0 && dim % bytes != 0))
    throw Unknown(name, fmt::format(": the width {} cannot be cut into {} equal parts", dim, bytes));
  return type;
}

}  // namespace hullft::index
