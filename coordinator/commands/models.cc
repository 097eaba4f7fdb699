// hullft models: which models run, and against what each kind was checked.
#include <fmt/format.h>

#include <cstdio>

#include "common/options.h"
#include "coordinator/commands/commands.h"
#include "worker/models/families.h"

namespace hullft::coordinator {

int ModelsCommand(const Arguments& args) {
  OptionTable table(
      "hullft models",
      "Prints a Markdown table of the language models that hullft runs: config.json's model_type, well-known "
      "models of that kind, and the golden checkpoints against which it is tested.");
  if (table.Parse(args)) return 0;
  std::string text = "| model_type | models | checked against transformers on |\n| --- | --- | --- |\n";
  for (const worker::Family& family : worker::Families()) {
    text += fmt::format("| `{}` | {} | {} |\n", family.model_type, family.models, family.checked);
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace hullft::coordinator
