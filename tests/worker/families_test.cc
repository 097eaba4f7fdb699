// The table of families: each row is checked on goldens that are there, and each of those is finetuned, with all
// weights and with adapters of all its projections.
#include "worker/models/families.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "common/files.h"
#include "tests/worker/golden_tensor.h"
#include "worker/memory_plan.h"
#include "worker/tuner.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kModels = fs::path(HULLFT_GOLDENS) / "models";

std::vector<std::string> Words(std::string_view with_commas) {
  std::istringstream words{std::string(with_commas)};
  std::vector<std::string> result;
  for (std::string word; std::getline(words >> std::ws, word, ',');) result.push_back(word);
  return result;
}

TEST(Families, EveryGoldenModelIsOfOneFamilyAndEveryFamilyHasOne) {
  std::set<std::string> listed, there;
  for (const Family& family : Families()) {
    EXPECT_FALSE(Words(family.checked).empty()) << family.model_type;
    for (const std::string& name : Words(family.checked)) {
      EXPECT_TRUE(listed.insert(name).second) << name;
      const json config = json::parse(ReadFile(kModels / name / "config.json"));
      EXPECT_EQ(config.at("model_type"), family.model_type) << name;
    }
  }
  for (const auto& entry : fs::directory_iterator(kModels)) there.insert(entry.path().filename());
  EXPECT_EQ(listed, there);
}

class FamilyModel : public ::testing::TestWithParam<std::string> {
 protected:
  FamilyModel() : folder_(kModels / GetParam()) {
    const SafetensorsFile golden(folder_ / "golden.safetensors");
    const at::Tensor ids = Golden(golden, "input_ids")[0];
    tokens_.assign(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
  }
  TuneResult Tune(Tuner& tuner) const {
    const std::vector<TrainSequence> train = {{tokens_, 6}};
    const std::vector<EvalDocument> eval = {{tokens_, 100}};
    return tuner.Run({.learning_rate = 1e-2, .refresh = 2, .max_length = 64, .prefix_token = 0}, train, eval);
  }
  const fs::path folder_;
  std::vector<int32_t> tokens_;
};

TEST_P(FamilyModel, LearnsASequenceAndForgetsItAgain) {
  const json numbers = json::parse(ReadFile(folder_ / "golden.json"));
  const double loss = -numbers["logprob_sums"][0].get<double>() / static_cast<double>(tokens_.size() - 1);
  const auto tuner = Tuner::Load({.model_dir = folder_.string(), .threads = 1});
  EXPECT_EQ(ReadModelShape(folder_).parameters, tuner->parameters());
  const TuneResult first = Tune(*tuner), second = Tune(*tuner);
  EXPECT_NEAR(first.steps.at(0).loss.value(), loss, 2e-5);
  EXPECT_LT(first.steps.at(4).loss.value(), 0.9 * loss);
  EXPECT_GT(first.after.at(0).log_likelihood, first.before.at(0).log_likelihood);
  EXPECT_EQ(first.before.at(0).log_likelihood, second.before.at(0).log_likelihood);
  EXPECT_EQ(first.after.at(0).log_likelihood, second.after.at(0).log_likelihood);
}

TEST_P(FamilyModel, LearnsWithAdaptersOfAllItsProjections) {
  std::set<std::string> targets;
  for (const AdapterPlace& place : ReadModelShape(folder_).places) targets.insert(place.target);
  std::string with_commas;
  for (const std::string& target : targets) with_commas += (with_commas.empty() ? "" : ",") + target;
  const AdapterOptions adapter{.kind = "lora", .rank = 4, .alpha = 8, .targets = with_commas};
  const auto tuner = Tuner::Load({.model_dir = folder_.string(), .threads = 1, .adapter = adapter});
  const TuneResult first = Tune(*tuner), second = Tune(*tuner);
  EXPECT_LT(first.steps.at(4).loss.value(), first.steps.at(0).loss.value());
  EXPECT_EQ(first.after.at(0).log_likelihood, second.after.at(0).log_likelihood);
}

std::vector<std::string> GoldenModels() {
  std::vector<std::string> names;
  for (const Family& family : Families()) {
    for (const std::string& name : Words(family.checked)) names.push_back(name);
  }
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, FamilyModel, ::testing::ValuesIn(GoldenModels()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace hullft::worker
