#include "worker/checkpoint/sentence_settings.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "common/json_read.h"
#include "common/stays_inside.h"
#include "worker/models/config.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;

Pooling PoolingOf(ConfigReader& config, const std::string& field, const std::string& name) {
  if (name == "mean") return Pooling::kMean;
  if (name == "cls") return Pooling::kCls;
  if (name == "max") return Pooling::kMax;
  throw config.Unsupported(field, "of poolings mean, cls and max are implemented");
}

// The Pooling module's config.json: one flag a mode in older files, pooling_mode in newer ones.
Pooling ReadPooling(const fs::path& path, bool has_prompt) {
  ConfigReader config(path);
  config.Size("word_embedding_dimension", config.Size("embedding_dimension", 1));
  if (!config.Flag("include_prompt", true) && has_prompt) {
    throw config.Unsupported("include_prompt", "leaving a prompt out of the pooling is not implemented");
  }
  std::vector<std::string> modes;
  for (const auto& [field, mode] : {std::pair("pooling_mode_mean_tokens", "mean"),
                                    {"pooling_mode_cls_token", "cls"},
                                    {"pooling_mode_max_tokens", "max"}}) {
    if (config.Flag(field, false)) modes.push_back(mode);
  }
  if (config.Has("pooling_mode")) modes.push_back(config.Text("pooling_mode"));
  config.RejectUnknown({});  // other modes must be off
  if (modes.size() != 1) {
    throw config.Unsupported("pooling_mode", "exactly one of mean, cls and max must be on (pooling_mode_*_token(s))");
  }
  return PoolingOf(config, "pooling_mode", modes[0]);
}

// modules.json: the folders of the transformer and of the pooling, in that order.
void ReadModules(const fs::path& folder, SentenceSettings* settings) {
  const fs::path path = folder / "modules.json";
  if (!Exists(path)) return;
  const nlohmann::json list = ParseJson(ReadFile(path), path.string());
  if (!list.is_array()) throw DataError("{}: not a list of modules", path.string());
  for (const nlohmann::json& module : list) {
    const bool whole = module.is_object() && module.value("type", nlohmann::json()).is_string() &&
                       module.value("path", nlohmann::json()).is_string();
    if (!whole) throw DataError("{}: a module without type or path", path.string());
    const std::string type = module["type"], kind = type.substr(type.rfind('.') + 1), place = module["path"];
    const fs::path config = fs::path(place) / "config.json";
    if (!StaysInsideModel(folder, config))
      throw DataError("{}: field path: '{}' leads out of this folder", path.string(), place);
    if (kind == "Transformer") {
      settings->model = folder / place;
    } else if (kind == "Pooling") {
      settings->pooling = ReadPooling(folder / config, !settings->prompt.empty());
    } else if (kind != "Normalize") {
      throw DataError("{}: field type: module {} is not implemented (Transformer, Pooling, Normalize are)",
                      path.string(), type);
    }
  }
}

std::string ReadPrompt(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / "config_sentence_transformers.json";
  if (!Exists(path)) {
    if (!name.empty()) throw UsageError("the encoder's prompt is '{}', but {} is missing", name, path.string());
    return "";
  }
  ConfigReader config(path);
  const std::string chosen = name.empty() ? config.Text("default_prompt_name", "") : name;
  if (chosen.empty()) return "";
  ConfigReader prompts =
      config.Has("prompts") ? config.Object("prompts") : ConfigReader(path.string(), "", nlohmann::json::object());
  if (!prompts.Has(chosen)) throw UsageError("{} has no prompt '{}'", path.string(), chosen);
  return prompts.Text(chosen);
}

// sentence_bert_config.json beside the transformer.
void ReadTexts(SentenceSettings* settings) {
  const fs::path path = settings->model / "sentence_bert_config.json";
  if (!Exists(path)) return;
  ConfigReader config(path);
  settings->lower_case = config.Flag("do_lower_case", false);
  if (config.Has("max_seq_length")) settings->max_tokens = config.Size("max_seq_length");
}

}  // namespace

const char* PoolingName(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean:
      return "mean";
    case Pooling::kCls:
      return "cls";
    case Pooling::kMax:
      return "max";
  }
  return "";
}

SentenceSettings ReadSentenceSettings(const fs::path& folder, const std::string& prompt) {
  SentenceSettings settings;
  settings.model = folder;
  settings.prompt = ReadPrompt(folder, prompt);
  ReadModules(folder, &settings);
  ReadTexts(&settings);
  return settings;
}

}  // namespace hullft::worker
