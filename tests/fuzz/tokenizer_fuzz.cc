// tokenizer.json: what is accepted encodes texts to ids that it knows, and decodes them.
#include "common/tokenizer/tokenizer.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {

void Tokenizer(std::string_view input) {
  const auto file = InFile("tokenizer.json", input);
  Accepted([&] {
    const auto tokenizer = hullft::Tokenizer::Load(file);
    for (const char* text : {"", "Hello, w\xc3\xb6rld! don't 12345", "  \t\n\n a\xe6\xbc\xa2\xf0\x9f\x98\x80[CLS]</s>",
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}) {
      tokenizer->Decode(tokenizer->Encode(text, true));
    }
  });
}

}  // namespace hullft::fuzz
