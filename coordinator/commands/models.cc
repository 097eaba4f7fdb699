// hullft models: which models run, and against what each kind was checked.
#include <fmt/format.h>

#include "common/options.h"
#include "coordinator/commands/commands.h"
#include "worker/models/encoder_families.h"
#include "worker/models/families.h"

namespace hullft::coordinator {

int ModelsCommand(const Arguments& args) {
  OptionTable table(
      "hullft models",
      "Prints Markdown tables of the language models and encoders that hullft runs: config.json's model_type, "
      "well-known models of that kind, the golden checkpoints against which it is tested, and how near to transformers "
      "its numbers must come there.");
  table.Example("hullft models");
  if (table.Parse(args)) return 0;
  const auto print = [](const char* title, const auto& families) {
    fmt::print(
        "## {}\n| model_type | models | checked against transformers on | tolerance |\n| --- | --- | --- | --- |\n",
        title);
    for (const auto& family : families)
      fmt::print("| `{}` | {} | {} | {} |\n", family.model_type, family.models, family.checked,
                 worker::ToText(family.tolerance));
  };
  print("Language models", worker::Families());
  fmt::print("\n");
  print("Encoders", worker::EncoderFamilies());
  return 0;
}

}  // namespace hullft::coordinator
