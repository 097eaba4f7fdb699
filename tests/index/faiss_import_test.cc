// Vectors from FAISS's own files: what FAISS writes is the oracle of what is read.
#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/index_io.h>
#include <gmock/gmock.h>

#include <numeric>

#include "common/npy.h"
#include "index/faiss_flat_file.h"
#include "index/given_embeddings.h"
#include "index/verify.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FaissImportTest : public ::testing::Test {
 protected:
  FaissImportTest() : texts_(RandomTexts(50, 3)) {
    WriteFileAtomic(folder_ / "in.jsonl", ToJsonl(texts_));
    std::mt19937 random(5);
    std::iota(order_.begin(), order_.end(), 0);
    std::shuffle(order_.begin(), order_.end(), random);
    for (const int64_t record : order_)
      std::ranges::copy(FakeVector(texts_[static_cast<size_t>(record)]), std::back_inserter(shuffled_));
    for (const std::string& text : texts_) std::ranges::copy(FakeVector(text), std::back_inserter(values_));
    wanted_ = BuildCorpus(Settings(folder_ / "in.jsonl", folder_ / "wanted", 2), FakeEmbed(), FakeTokenize()).digest;
  }
  std::string Write(const faiss::Index& index, const std::string& name) {
    faiss::write_index(&index, (folder_ / name).c_str());
    return folder_ / name;
  }
  std::string Import(const std::string& embeddings, const std::string& row_order = "") {
    auto settings = Settings(folder_ / "in.jsonl", folder_ / "c", 3);
    settings.embeddings = embeddings;
    settings.row_order = row_order;
    const std::string digest = BuildCorpus(settings, {{}, 0, "fake encoder"}, FakeTokenize()).digest;
    fs::remove_all(folder_ / "c");
    return digest;
  }
  std::string Fault(const std::string& embeddings, const std::string& row_order = "") {
    const Error error = Caught([&] { Import(embeddings, row_order); });
    EXPECT_EQ(error.code(), Code::kData) << error.what();
    EXPECT_FALSE(fs::exists(folder_ / "c.building"));
    return error.message();
  }
  std::string Order(const std::string& text) {
    WriteFileAtomic(folder_ / "order.txt", text);
    return folder_ / "order.txt";
  }
  TemporaryFolder folder_;
  std::vector<std::string> texts_;
  std::vector<int64_t> order_ = std::vector<int64_t>(50);
  std::vector<float> values_, shuffled_;
  std::string wanted_;
};

TEST_F(FaissImportTest, FlatIndexesGiveTheirVectorsInAnyOrder) {
  faiss::IndexFlatIP product(kDim);
  product.add(50, values_.data());
  EXPECT_EQ(Import(Write(product, "product.faiss")), wanted_);
  faiss::IndexFlatL2 distance(kDim);
  distance.add(50, values_.data());
  EXPECT_EQ(Import(Write(distance, "distance.faiss")), wanted_);
  faiss::IndexFlat other(kDim, faiss::METRIC_Lp);
  other.add(50, values_.data());
  EXPECT_EQ(Import(Write(other, "other.faiss")), wanted_);

  faiss::IndexFlatIP shuffled(kDim);
  shuffled.add(50, shuffled_.data());
  const std::string order = Order(fmt::format("{}\n", fmt::join(order_, "\n")));
  EXPECT_EQ(Import(Write(shuffled, "shuffled.faiss"), order), wanted_);
  EXPECT_NE(Import(Write(shuffled, "shuffled.faiss")), wanted_);
  const int64_t shape[] = {50, kDim};
  WriteNpy(folder_ / "shuffled.npy", shape, shuffled_);
  EXPECT_EQ(Import(folder_ / "shuffled.npy", order), wanted_);

  faiss::IndexFlatIP inner(kDim);
  faiss::IndexIDMap map(&inner);
  map.add_with_ids(50, shuffled_.data(), order_.data());
  EXPECT_EQ(Import(Write(map, "map.faiss")), wanted_);
  faiss::IndexFlatIP inner2(kDim);
  faiss::IndexIDMap2 map2(&inner2);
  map2.add_with_ids(50, shuffled_.data(), order_.data());
  EXPECT_EQ(Import(Write(map2, "map2.faiss")), wanted_);
}

TEST_F(FaissImportTest, WhatIsNotFlatOrNotWholeIsNamed) {
  faiss::IndexFlatIP coarse(kDim), flat(kDim);
  faiss::IndexIVFFlat lists(&coarse, kDim, 2);
  lists.train(50, values_.data());
  lists.add(50, values_.data());
  EXPECT_THAT(Fault(Write(lists, "lists.faiss")), HasSubstr("of the kind IwFl, not a flat one"));
  faiss::IndexIDMap map(&flat);
  map.add_with_ids(50, values_.data(), order_.data());
  const std::string file = Write(map, "map.faiss"), good = ReadFile(file);
  for (size_t size = 4; size < good.size(); size += size < 120 ? 1 : 97) {
    WriteFileAtomic(file, good.substr(0, size));
    EXPECT_THAT(Caught([&] { FaissFlatFile cut(file); }).message(), HasSubstr("is cut off")) << size;
  }
  WriteFileAtomic(file, good + "x");
  EXPECT_THAT(Fault(file), HasSubstr("is cut off, or its counts are wrong"));
}

TEST_F(FaissImportTest, AnOrderThatIsNotOneIsNamed) {
  const int64_t shape[] = {50, kDim};
  const std::string npy = folder_ / "x.npy";
  WriteNpy(npy, shape, values_);
  const auto lines = [&] { return fmt::format("{}\n", fmt::join(order_, "\n")); };
  EXPECT_THAT(Fault(npy, Order("0\n1\n")), HasSubstr("order.txt names 2 records, there are 50 rows"));
  EXPECT_THAT(Fault(npy, Order("0\nx\n")), HasSubstr("order.txt:2: not the number of a record"));
  order_[3] = order_[7];
  EXPECT_THAT(Fault(npy, Order(lines())), HasSubstr("row 7 (from 0) is of record"));
  order_[3] = 50;
  EXPECT_THAT(Fault(npy, Order(lines())), HasSubstr("row 3 (from 0) is of record 50, which is none of the input"));
}

}  // namespace
}  // namespace hullft::index
