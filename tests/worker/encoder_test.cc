// Encoders against the reference: hidden states and vectors of the golden ids, vectors of the golden texts through the
// tokenizer and the truncation; the same bits in any batch and at any number of threads.
#include "worker/encoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "tests/caught.h"
#include "tests/worker/golden_tensor.h"
#include "tests/worker/rename_tensors.h"
#include "worker/models/encoder_families.h"
#include "worker/models/encoder_model.h"
#include "worker/pooling.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const fs::path kGoldens = HULLFT_GOLDENS;

struct Case {
  std::string golden, tokenizer;  // tokenizer empty: a real model's own
  bool hidden;
};

// A folder with the golden encoder's weights and its tokenizer, which the goldens keep elsewhere.
class Folder {
 public:
  explicit Folder(const std::string& encoder, const std::string& tokenizer) {
    std::string name = (fs::temp_directory_path() / "hullft_encoder_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    for (const char* file : {"config.json", "model.safetensors"}) {
      fs::copy_file(kGoldens / "encoders" / encoder / file, path_ / file);
    }
    fs::copy_file(kGoldens / "tokenizers" / (tokenizer + ".tokenizer.json"), path_ / "tokenizer.json");
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }
  void Write(const std::string& file, const std::string& content) const {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file, std::ios::binary) << content;
  }
  void SetConfig(const std::string& field, const json& value) const {
    json config = json::parse(ReadFile(path_ / "config.json"));
    config[field] = value;
    Write("config.json", config.dump());
  }

 private:
  fs::path path_;
};

std::vector<std::string> Texts(const std::string& golden) {
  return json::parse(ReadFile(kGoldens / "encoders" / golden / "golden.json"))["texts"].get<std::vector<std::string>>();
}

std::vector<float> EmbedAll(const Encoder& encoder, const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> out(texts.size() * static_cast<size_t>(encoder.dim()));
  encoder.Embed(views, out);
  return out;
}

// The tolerance of the family that is checked on this golden.
EncoderTolerance ToleranceOf(const std::string& golden) {
  for (const EncoderFamily& family : EncoderFamilies()) {
    if (family.checked.find(golden) != std::string_view::npos) return family.tolerance;
  }
  throw std::out_of_range(golden);
}

void ExpectNear(const std::vector<float>& ours, const at::Tensor& golden, const EncoderTolerance& tolerance) {
  ASSERT_EQ(static_cast<int64_t>(ours.size()), golden.numel());
  const at::Tensor mine = at::from_blob(const_cast<float*>(ours.data()), golden.sizes(), at::kFloat);
  EXPECT_LT((mine - golden).abs().max().item<float>(), tolerance.vectors);
  EXPECT_GT((mine * golden).sum(1).min().item<float>(), 0.99999);
}

template <class Body>
std::string Failure(Code code, Body&& body) {
  const Error error = Caught(body);
  EXPECT_EQ(error.code(), code);
  return error.what();
}

class GoldenEncoder : public testing::TestWithParam<Case> {
 protected:
  SafetensorsFile golden_{kGoldens / "encoders" / GetParam().golden / "golden.safetensors"};
  const EncoderTolerance tolerance_ = ToleranceOf(GetParam().golden);
  int max_length_ = json::parse(ReadFile(kGoldens / "encoders" / GetParam().golden / "golden.json"))["max_length"];
};

TEST_P(GoldenEncoder, HiddenStatesAndVectorsOfIds) {
  const EncoderModel model(GetParam().hidden ? kGoldens / "encoders" / GetParam().golden
                                             : RealModel("all-minilm-l6-v2"));
  const at::Tensor ids = Golden(golden_, "input_ids"), mask = Golden(golden_, "attention_mask");
  std::vector<float> vectors(static_cast<size_t>(ids.size(0) * model.width()));
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t length = mask[row].sum().item<int64_t>();
    const at::Tensor row_ids = ids[row].narrow(0, 0, length).to(at::kInt);
    const std::span<const int32_t> tokens(row_ids.data_ptr<int32_t>(), static_cast<size_t>(length));
    const at::Tensor hidden = model.Hidden(tokens), mean = Pool(hidden, Pooling::kMean);
    const at::Tensor unit = mean / mean.norm();
    std::copy_n(unit.const_data_ptr<float>(), model.width(), vectors.begin() + row * model.width());
    if (!GetParam().hidden) continue;
    const at::Tensor expected = Golden(golden_, "last_hidden_state")[row].narrow(0, 0, length);
    EXPECT_LT((hidden - expected).abs().max().item<float>(), tolerance_.hidden);
  }
  ExpectNear(vectors, Golden(golden_, "embed_query"), tolerance_);
  if (golden_.tensors().contains("embed_texts")) ExpectNear(vectors, Golden(golden_, "embed_texts"), tolerance_);
}

TEST_P(GoldenEncoder, VectorsOfTexts) {
  std::unique_ptr<Folder> tiny;
  if (GetParam().hidden) tiny = std::make_unique<Folder>(GetParam().golden, GetParam().tokenizer);
  const fs::path folder = tiny ? tiny->path() : RealModel("all-minilm-l6-v2");
  const auto encoder = Encoder::Load({folder.string(), max_length_, 2});
  EXPECT_EQ(encoder->max_length(), max_length_);
  ExpectNear(EmbedAll(*encoder, Texts(GetParam().golden)), Golden(golden_, "embed_query"), tolerance_);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenEncoder,
                         testing::Values(Case{"bert_tiny", "bert_uncased_2000", true},
                                         Case{"roberta_tiny", "roberta_2000", true}, Case{"minilm_max256", "", false},
                                         Case{"minilm_max512", "", false}, Case{"xlmr_tiny", "xlmr_2000", true},
                                         Case{"mpnet_tiny", "bert_uncased_2000", true},
                                         Case{"modernbert_tiny", "gpt2_1000", true}),
                         [](const auto& info) { return info.param.golden; });

TEST(Encoder, EveryGoldenIsOfOneFamilyAndEveryFamilyHasOne) {
  std::set<std::string> listed, there;
  for (const EncoderFamily& family : EncoderFamilies()) {
    std::istringstream names{std::string(family.checked)};
    for (std::string name; std::getline(names >> std::ws, name, ',');) {
      EXPECT_TRUE(listed.insert(name).second) << name;
      const fs::path config = kGoldens / "encoders" / name / "config.json";
      if (fs::exists(config)) {
        EXPECT_EQ(json::parse(ReadFile(config)).at("model_type"), family.model_type) << name;
      }
    }
  }
  for (const auto& entry : fs::directory_iterator(kGoldens / "encoders")) there.insert(entry.path().filename());
  EXPECT_EQ(listed, there);
}

// A sentence-transformers folder round a golden encoder: its modules.json, pooling and length, the transformer in a
// folder of its own as in older ones.
class SentenceFolder : public Folder {
 public:
  SentenceFolder(const std::string& encoder, const std::string& tokenizer, const json& pooling, int max_length)
      : Folder(encoder, tokenizer) {
    for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
      fs::create_directories(path() / "0_Transformer");
      fs::rename(path() / file, path() / "0_Transformer" / file);
    }
    Write("modules.json", R"([{"idx": 0, "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
                              {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
    Write("1_Pooling/config.json", pooling.dump());
    Write("0_Transformer/sentence_bert_config.json", json{{"max_seq_length", max_length}}.dump());
  }
};

TEST(Encoder, PoolingAndLongTextsOfSentenceTransformersFolders) {
  const json cls = {{"word_embedding_dimension", 32}, {"pooling_mode_cls_token", true}},
             max = {{"embedding_dimension", 32}, {"pooling_mode", "max"}},
             mean = {{"word_embedding_dimension", 32}, {"pooling_mode_mean_tokens", true}};
  for (const auto& [name, tokenizer] :
       {std::pair("xlmr_tiny", "xlmr_2000"), {"mpnet_tiny", "bert_uncased_2000"}, {"modernbert_tiny", "gpt2_1000"}}) {
    SCOPED_TRACE(name);
    const SafetensorsFile golden(kGoldens / "encoders" / name / "golden.safetensors");
    const json numbers = json::parse(ReadFile(kGoldens / "encoders" / name / "golden.json"));
    std::set<std::string> digests;
    const auto check = [&](const json& pooling, LongTexts long_texts, const char* expected) {
      const SentenceFolder folder(name, tokenizer, pooling, numbers["max_length"]);
      const auto encoder = Encoder::Load({.model_dir = folder.path().string(), .threads = 1, .long_texts = long_texts});
      ExpectNear(EmbedAll(*encoder, Texts(name)), Golden(golden, expected), ToleranceOf(name));
      EXPECT_TRUE(digests.insert(encoder->digest()).second);
    };
    check(mean, LongTexts::kCut, "embed_query");
    check(cls, LongTexts::kCut, "embed_cls");
    check(max, LongTexts::kCut, "embed_max");
    check(mean, LongTexts::kAverage, "embed_average");
  }
}

TEST(Encoder, PromptsArePutBeforeTexts) {
  const Folder folder("bert_tiny", "bert_uncased_2000");
  const auto load = [&](const std::string& prompt) {
    return Encoder::Load({.model_dir = folder.path().string(), .threads = 1, .prompt = prompt});
  };
  const auto plain = load("");
  EXPECT_THAT(Failure(Code::kUsage, [&] { load("query"); }), HasSubstr("config_sentence_transformers.json"));
  folder.Write("config_sentence_transformers.json", R"({"prompts": {"query": "ask: ", "text": ""}})");
  EXPECT_EQ(load("")->digest(), plain->digest());
  EXPECT_EQ(load("text")->digest(), plain->digest());
  EXPECT_THAT(Failure(Code::kUsage, [&] { load("passage"); }), HasSubstr("'passage'"));
  folder.Write("config_sentence_transformers.json",
               R"({"prompts": {"query": "ask: "}, "default_prompt_name": "query"})");
  EXPECT_EQ(EmbedAll(*load(""), {"a word"}), EmbedAll(*plain, {"ask: a word"}));
  EXPECT_NE(load("")->digest(), plain->digest());
}

// What a GPU computes: gpu_test.
TEST(Encoder, MovesToADeviceThatIsThere) {
  const Folder folder("bert_tiny", "bert_uncased_2000");
  const auto encoder = Encoder::Load({.model_dir = folder.path().string(), .threads = 1});
  const std::vector<float> before = EmbedAll(*encoder, {"a word", "two words"});
  EXPECT_THAT(Failure(Code::kUsage, [&] { encoder->MoveTo("cuda:99"); }), HasSubstr("cuda:99"));
  encoder->MoveTo("cpu");
  EXPECT_EQ(EmbedAll(*encoder, {"a word", "two words"}), before);
}

// The first checkpoints of BERT, which were made of TensorFlow's.
TEST(Encoder, OldNamesOfNormsGiveTheSameBits) {
  const Folder older("bert_tiny", "bert_uncased_2000");
  const fs::path weights = older.path() / "model.safetensors";
  RenameTensors(weights, "^", "bert.");
  RenameTensors(weights, "LayerNorm\\.weight$", "LayerNorm.gamma");
  RenameTensors(weights, "LayerNorm\\.bias$", "LayerNorm.beta");
  const std::vector<int32_t> ids = {2, 100, 101, 102, 3};
  EXPECT_TRUE(EncoderModel(older.path()).Hidden(ids).equal(EncoderModel(kGoldens / "encoders/bert_tiny").Hidden(ids)));
}

// BGE's folders say do_lower_case; RoBERTa's tokenizer keeps capitals, so that it shows.
TEST(Encoder, TextsAreMadeLowerCaseWhereTheFolderSaysSo) {
  const Folder folder("roberta_tiny", "roberta_2000");
  const auto load = [&] { return Encoder::Load({folder.path().string(), 0, 1}); };
  const auto plain = load();
  folder.Write("sentence_bert_config.json", R"({"max_seq_length": 40, "do_lower_case": true})");
  const auto lower = load();
  EXPECT_EQ(lower->max_length(), 40);
  EXPECT_NE(lower->digest(), plain->digest());
  EXPECT_EQ(EmbedAll(*lower, {"The NAME \u039f\u0394\u039f\u03a3."}),
            EmbedAll(*plain, {"the name \u03bf\u03b4\u03bf\u03c2."}));
  EXPECT_NE(EmbedAll(*plain, {"The NAME"}), EmbedAll(*plain, {"the name"}));
}

TEST(Encoder, SameBitsInAnyBatchAndOnAnyNumberOfThreads) {
  const std::string folder = RealModel("all-minilm-l6-v2").string();
  std::vector<std::string> texts = Texts("minilm_max256");
  const auto encoder = Encoder::Load({folder, 0, 1});
  EXPECT_EQ(encoder->max_length(), 256);  // sentence_bert_config.json, not the 128 of tokenizer.json
  std::vector<float> alone;
  for (const std::string& text : texts) {
    const std::vector<float> one = EmbedAll(*encoder, {text});
    alone.insert(alone.end(), one.begin(), one.end());
  }
  EXPECT_EQ(EmbedAll(*encoder, texts), alone);
  for (const int threads : {2, 3, 5}) {
    const auto other = Encoder::Load({folder, 0, threads});
    EXPECT_EQ(EmbedAll(*other, texts), alone) << threads << " threads";
    EXPECT_EQ(other->digest(), encoder->digest());
  }
  at::set_num_threads(2);  // what the process does elsewhere must not matter, and must be as before afterwards
  EXPECT_EQ(EmbedAll(*encoder, texts), alone);
  EXPECT_EQ(at::get_num_threads(), 2);
  EXPECT_NE(Encoder::Load({folder, 128, 1})->digest(), encoder->digest());
}

// One thread a text: neither OpenMP nor MKL may start threads of their own.
TEST(Encoder, StartsNoThreadsBesidesItsOwn) {
  const auto encoder = Encoder::Load({RealModel("all-minilm-l6-v2").string(), 0, 1});
  const auto count = [] { return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator{}); };
  at::set_num_threads(4);
  const auto before = count();
  EmbedAll(*encoder, Texts("minilm_max512"));
  EXPECT_EQ(count(), before);
}

// Overwrites `count` values of a tensor, from element `first`, with NaN.
void Spoil(const Folder& folder, const std::string& tensor, int64_t first, int64_t count) {
  std::string file = ReadFile(folder.path() / "model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  const size_t begin = json::parse(file.substr(8, header))[tensor]["data_offsets"][0];
  const std::vector<float> nan(static_cast<size_t>(count), std::numeric_limits<float>::quiet_NaN());
  std::memcpy(file.data() + 8 + header + begin + 4 * static_cast<size_t>(first), nan.data(), nan.size() * 4);
  folder.Write("model.safetensors", file);
}

// Ids <s> 100 <pad> 101 </s> take the positions 2 3 1 4 5: a padding token does not advance, and has position 1.
TEST(Encoder, RobertaPositionsSkipPaddingTokens) {
  const std::vector<int32_t> ids = {0, 100, 1, 101, 2};
  const std::string table = "embeddings.position_embeddings.weight";
  const auto finite = [&](const Folder& folder) {
    return EncoderModel(folder.path()).Hidden(ids).isfinite().all().item<bool>();
  };
  const Folder unused("roberta_tiny", "roberta_2000"), used("roberta_tiny", "roberta_2000");
  Spoil(unused, table, 0, 32);
  Spoil(unused, table, 6 * 32, 44 * 32);
  EXPECT_TRUE(finite(unused));
  Spoil(used, table, 32, 1);
  EXPECT_FALSE(finite(used));
}

TEST(Encoder, IdsMustFitTheModel) {
  const EncoderModel model(kGoldens / "encoders/roberta_tiny");
  EXPECT_EQ(model.max_tokens(), 48);
  EXPECT_THROW(model.Hidden(std::vector<int32_t>(49, 5)), Error);
  EXPECT_THROW(model.Hidden(std::vector<int32_t>{2001}), Error);
  EXPECT_THROW(model.Hidden(std::vector<int32_t>{-1}), Error);
  EXPECT_THROW(model.Hidden({}), Error);
}

TEST(Encoder, WhatIsNotImplementedIsNamed) {
  const std::vector<std::tuple<std::string, json>> cases = {
      {"hidden_act", "gelu_10"}, {"position_embedding_type", "relative_key"},
      {"is_decoder", true},      {"model_type", "deberta"},
      {"embedding_size", 128},   {"num_attention_heads", 5}};
  for (const auto& [field, value] : cases) {
    const Folder folder("bert_tiny", "bert_uncased_2000");
    folder.SetConfig(field, value);
    EXPECT_THAT(Failure(Code::kData, [&] { Encoder::Load({folder.path().string(), 0, 1}); }), HasSubstr(field));
  }
  const Folder buckets("mpnet_tiny", "bert_uncased_2000"), rope("modernbert_tiny", "gpt2_1000");
  buckets.SetConfig("relative_attention_num_buckets", 16);
  EXPECT_THAT(Failure(Code::kData, [&] { Encoder::Load({buckets.path().string(), 0, 1}); }), HasSubstr("num_buckets"));
  rope.SetConfig("rope_parameters", {{"full_attention", {{"rope_type", "yarn"}, {"rope_theta", 10000}}}});
  EXPECT_THAT(Failure(Code::kData, [&] { Encoder::Load({rope.path().string(), 0, 1}); }), HasSubstr("rope_type"));
  const Folder pooled("bert_tiny", "bert_uncased_2000");
  pooled.Write("modules.json", R"([{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}])");
  pooled.Write("1_Pooling/config.json",
               R"({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})");
  const auto load = [&] { Encoder::Load({pooled.path().string(), 0, 1}); };
  EXPECT_THAT(Failure(Code::kData, load), HasSubstr("pooling_mode"));
  const Folder elsewhere("bert_tiny", "bert_uncased_2000");
  fs::create_directory_symlink(elsewhere.path(), pooled.path() / "linked");
  for (const std::string outside : {"../1_Pooling", elsewhere.path().c_str(), "1_Pooling/../..", "linked"}) {
    const json module = {{"type", "sentence_transformers.models.Pooling"}, {"path", outside}};
    pooled.Write("modules.json", json::array({module}).dump());
    EXPECT_THAT(Failure(Code::kData, load), HasSubstr("leads out")) << outside;
  }
  pooled.Write("modules.json", R"([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])");
  EXPECT_THAT(Failure(Code::kData, load), HasSubstr("sentence_transformers.models.Dense"));
}

TEST(Encoder, LengthsOutOfRangeAreUsageErrors) {
  const Folder folder("bert_tiny", "bert_uncased_2000");
  const auto load = [&](int max_length) { return Encoder::Load({folder.path().string(), max_length, 1}); };
  EXPECT_EQ(load(0)->max_length(), 48);
  Failure(Code::kUsage, [&] { load(49); });
  Failure(Code::kUsage, [&] { load(2); });  // [CLS] and [SEP] alone
  EXPECT_EQ(load(3)->max_length(), 3);
}

TEST(Encoder, AVectorThatIsNotFiniteNamesItsRow) {
  const Folder folder("bert_tiny", "bert_uncased_2000");
  Spoil(folder, "encoder.layer.1.output.dense.bias", 7, 1);
  const auto encoder = Encoder::Load({folder.path().string(), 0, 1});
  EXPECT_THAT(Failure(Code::kNumeric, [&] { EmbedAll(*encoder, {"some text"}); }), HasSubstr("text 0"));
}

}  // namespace
}  // namespace hullft::worker
