// A text cut into pieces: what pre-tokenizers work on. Internal to common/tokenizer. Thread safety: one thread's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hullft::tokenizer {

// Half-open range of bytes.
struct Span {
  size_t begin, end;
};

// The pieces are spans of one text, in order and never empty. The text is the caller's until a step rewrites it
// (ByteLevel); then it lies in here. Buffers are kept between texts, so that cutting a text does not allocate.
class Pieces {
 public:
  // One piece: all of text, which must outlive the work on it. begins_text: it begins where the whole text did.
  void Reset(std::string_view text, bool begins_text) {
    text_ = text;
    begins_text_ = begins_text;
    spans_.clear();
    if (!text.empty()) spans_.push_back({0, text.size()});
  }
  std::string_view text() const { return text_; }
  const std::vector<Span>& spans() const { return spans_; }
  bool begins_text() const { return begins_text_; }
  std::string_view Text(Span span) const { return text_.substr(span.begin, span.end - span.begin); }

  // Replaces every piece by the ranges of its own bytes that cut(piece, emit) hands to emit(begin, end); empty ones
  // vanish.
  template <class Cut>
  void Split(const Cut& cut) {
    next_spans_.clear();
    for (const Span span : spans_) {
      cut(Text(span), [&](size_t begin, size_t end) {
        if (begin < end) next_spans_.push_back({span.begin + begin, span.begin + end});
      });
    }
    spans_.swap(next_spans_);
  }

  // Rewrites the text: rewrite(piece, &new_text, emit) appends to new_text and calls emit() after each new piece.
  template <class Rewrite>
  void Map(const Rewrite& rewrite) {
    next_spans_.clear();
    next_text_.clear();
    size_t begin = 0;
    for (const Span span : spans_) {
      rewrite(Text(span), &next_text_, [&] {
        if (begin < next_text_.size()) next_spans_.push_back({begin, next_text_.size()});
        begin = next_text_.size();
      });
    }
    spans_.swap(next_spans_);
    text_storage_.swap(next_text_);
    text_ = text_storage_;
  }

 private:
  std::string_view text_;
  bool begins_text_ = true;
  std::string text_storage_, next_text_;
  std::vector<Span> spans_, next_spans_;
};

}  // namespace hullft::tokenizer
