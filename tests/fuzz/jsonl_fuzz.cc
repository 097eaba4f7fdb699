// The reader of corpora and queries. The first byte says where the file is cut into the two parts that must give the
// same records as the whole.
#include "common/tokenizer/tokenizer.h"
#include "index/byte_source.h"
#include "index/jsonl_reader.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

constexpr int64_t kMaxLineBytes = 300;

std::string Texts(const std::filesystem::path& file, int64_t begin, int64_t end) {
  index::Rejects rejects("", INT64_MAX);
  index::JsonlReader reader(file, &rejects, {.max_line_bytes = kMaxLineBytes, .begin = begin, .end = end});
  std::string texts;
  index::Record record;
  while (reader.Next(&record)) {
    Require(!record.text.empty() && IsValidUtf8(record.text), "a text is not empty and valid UTF-8");
    Require(IsValidUtf8(record.meta), "the meta field is valid UTF-8");
    Require(static_cast<int64_t>(record.json.size()) <= kMaxLineBytes, "a line keeps the limit");
    texts.append(record.text).append("\n").append(record.meta).append("\n");
  }
  return texts;
}

}  // namespace

void Jsonl(std::string_view input) {
  if (input.empty()) return;
  const auto cut = static_cast<int64_t>(static_cast<unsigned char>(input[0]));
  const auto file = InFile("texts", input.substr(1));
  std::string whole;
  if (!Accepted([&] { whole = Texts(file, 0, -1); }) || cut == 0 || !index::ByteSource::IsPlain(file)) return;
  Require(Texts(file, 0, cut) + Texts(file, cut, -1) == whole, "two parts give what the whole gives");
}

}  // namespace hullft::fuzz
