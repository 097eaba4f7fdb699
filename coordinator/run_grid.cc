#include "coordinator/run_grid.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "common/error.h"
#include "common/files.h"
#include "common/json_read.h"

namespace hullft::coordinator {
namespace {

RunSetting SettingOf(const std::string& name, const nlohmann::json& options, const std::vector<std::string>& args) {
  std::vector<std::string> words = args;
  for (const auto& [option, value] : options.items()) {
    if (!MayVaryInOneRun(option))
      throw Error(Code::kUsage, fmt::format("{} cannot differ between the settings of one run", option));
    words.push_back("--" + option + "=" + value.get<std::string>());
  }
  RunSettings settings;
  OptionTable table("hullft run", "");
  settings.Bind(&table);
  table.Parse(words);
  settings.Finish();
  if (settings.pool != "knn")
    throw Error(Code::kUsage, fmt::format("--pool {}: a whole corpus' choice is not shared", settings.pool));
  return {name, settings.method, settings.select, settings.tune, IdentityOfOptions(table)};
}

// It is a folder's name to those who read the run.
bool IsName(const std::string& name) {
  return !name.empty() && name.front() != '.' &&
         std::ranges::none_of(name, [](unsigned char c) { return c < ' ' || c == '/' || c == 127; });
}

}  // namespace

bool MayVaryInOneRun(const std::string& option) {
  static const std::set<std::string> kTuning = {"refresh", "lr", "score-at"};
  static const std::set<std::string> kSelecting = [] {
    SelectionFlags flags;
    OptionTable table("", "");
    flags.BindSelection(&table);
    std::set<std::string> names;
    for (const Option* option : table.options()) names.insert(option->name());
    return names;
  }();
  return kTuning.contains(option) || kSelecting.contains(option);
}

std::vector<RunSetting> ReadRunGrid(const std::filesystem::path& file, const std::vector<std::string>& args) {
  const auto fault = [&](const std::string& text) {
    return Error(Code::kUsage, fmt::format("{}: {}", file.string(), text), "hullft sweep writes such files");
  };
  std::vector<RunSetting> grid;
  try {
    const std::string text = ReadFile(file);
    CheckJsonDepth(text, file.string());
    const auto json = nlohmann::json::parse(text);
    for (const auto& [name, options] : json.at("settings").items()) {
      if (!IsName(name)) throw fault(fmt::format("'{}' cannot be a setting's name", name));
      try {
        grid.push_back(SettingOf(name, options, args));
      } catch (const Error& error) {
        throw fault(fmt::format("{}: {}", name, error.message()));
      }
    }
  } catch (const nlohmann::json::exception& error) {
    throw fault(error.what());
  }
  if (grid.empty()) throw fault("holds no setting");
  return grid;
}

}  // namespace hullft::coordinator
