#include "common/tokenizer/byte_trie.h"

namespace hullft::tokenizer {

// Level by level: the children of a node are appended together.
ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> contents) : nodes_(1), bytes_(1) {
  std::sort(contents.begin(), contents.end());
  struct Open {
    size_t node, begin, end, depth;  // the contents [begin, end) share their first `depth` bytes
  };
  std::vector<Open> open = {{0, 0, contents.size(), 0}};
  for (size_t next = 0; next < open.size(); ++next) {
    Open at = open[next];
    if (at.begin < at.end && contents[at.begin].first.size() == at.depth)
      nodes_[at.node].id = contents[at.begin++].second;
    nodes_[at.node].first_child = static_cast<uint32_t>(nodes_.size());
    while (at.begin < at.end) {
      const char byte = contents[at.begin].first[at.depth];
      size_t end = at.begin + 1;
      while (end < at.end && contents[end].first[at.depth] == byte) ++end;
      open.push_back({nodes_.size(), at.begin, end, at.depth + 1});
      nodes_.emplace_back();
      bytes_.push_back(static_cast<unsigned char>(byte));
      ++nodes_[at.node].children;
      at.begin = end;
    }
  }
}

}  // namespace hullft::tokenizer
