#include "coordinator/study/compare.h"

#include <cstdio>

#include "common/options.h"
#include "common/parallel.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int CompareCommand(const Arguments& args) {
  std::string a, b, form = "text", definition_name = "bpb";
  int n = 0;
  bool common = false;
  OptionTable table(
      "hullft compare",
      "What two runs differ by, query by query. Refuses runs whose bits per byte are different quantities:\n"
      "another model, window, prefix token, or other queries.");
  table.Example("hullft compare runs/hullft runs/sift");
  table.AddPositional("a", &a, "the --output of a hullft run").Required();
  table.AddPositional("b", &b, "the --output of another").Required();
  table.Add("table", &form, "form of the table").OneOf({"text", "csv", "latex", "markdown"});
  table.Add("n", &n, "N to compare at; 0: the largest that both have").Range(0, 1e6);
  table.Add("common", &common, "leave out queries that one run only has finished, in place of refusing");
  table
      .Add("definition", &definition_name,
           "of bits per byte: bpb (rolling windows) or bpb_first_window (as the paper's code)")
      .OneOf({"bpb", "bpb_first_window"});
  if (table.Parse(args)) return 0;
  const auto definition = definition_name == "bpb" ? study::Definition::kRolling : study::Definition::kFirstWindow;
  const study::Comparison comparison = study::Compare(study::LoadRun(a, definition), study::LoadRun(b, definition),
                                                      definition, n, common, UsableCores());
  const study::Table result = ComparisonTable(comparison);
  const std::string text = form == "csv"        ? Csv(result)
                           : form == "latex"    ? Latex(result)
                           : form == "markdown" ? Markdown(result)
                                                : PlainText(result) + DifferingText(comparison);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace hullft::coordinator
