// Contents of tokens as a trie over their bytes: finds all that begin a text. Internal to common/tokenizer.
// Thread safety: immutable once made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace hullft::tokenizer {

class ByteTrie {
 public:
  // The ids of contents, which are not empty and all different. They are not kept.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> contents);

  // Calls visit(length, id) for every content that text begins with, the shortest first.
  template <class Visit>
  void ForEachPrefix(std::string_view text, const Visit& visit) const {
    const Node* node = nodes_.data();
    for (size_t length = 0; length < text.size();) {
      node = Child(*node, static_cast<unsigned char>(text[length]));
      if (node == nullptr) return;
      ++length;
      if (node->id >= 0) visit(length, node->id);
    }
  }

 private:
  struct Node {
    uint32_t first_child = 0;  // children lie side by side, by their byte
    uint16_t children = 0;
    int32_t id = -1;
  };
  const Node* Child(const Node& node, unsigned char byte) const {
    const auto begin = bytes_.begin() + node.first_child, end = begin + node.children;
    const auto found = std::lower_bound(begin, end, byte);
    if (found == end || *found != byte) return nullptr;
    return &nodes_[static_cast<size_t>(found - bytes_.begin())];
  }

  std::vector<Node> nodes_;
  std::vector<unsigned char> bytes_;  // that lead to each node
};

}  // namespace hullft::tokenizer
