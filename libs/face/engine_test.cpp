#include "face/engine.h"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "face/drawn_photo.h"

namespace bauta::face {
namespace {

using testing::HasSubstr;

AlignedFace drawn_face(uint64_t seed, float gain = 1, float offset = 0) {
  const DrawnFace place{kAlignedSide / 2.0f, kAlignedSide / 2.0f, 1, 0};
  return {DrawnPhoto(kAlignedSide, kAlignedSide)
              .add(place)
              .noise(0.03, seed)
              .light(gain, offset)
              .image()};
}

double norm(const Embedding& embedding) {
  return std::sqrt(cosine_score(embedding, embedding));
}

// The bytes of a network that averages each of its three input channels: enough of protobuf and
// ONNX to write it by hand.
class OnnxBytes {
 public:
  OnnxBytes& number(int field, uint8_t value) { return key(field, 0).byte(value); }
  OnnxBytes& bytes(int field, const std::string& value) {
    key(field, 2).byte(static_cast<uint8_t>(value.size()));
    text_ += value;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  OnnxBytes& key(int field, int wire) { return byte(static_cast<uint8_t>(field << 3 | wire)); }
  OnnxBytes& byte(uint8_t value) {
    text_ += static_cast<char>(value);
    return *this;
  }
  std::string text_;
};

std::string tensor_named(const std::string& name, std::initializer_list<uint8_t> shape) {
  OnnxBytes dimensions;
  for (const uint8_t size : shape) dimensions.bytes(1, OnnxBytes().number(1, size).text());
  const auto tensor = OnnxBytes().number(1, 1).bytes(2, dimensions.text());
  const auto type = OnnxBytes().bytes(1, tensor.text());
  return OnnxBytes().bytes(1, name).bytes(2, type.text()).text();
}

std::string averaging_network() {
  const auto node = OnnxBytes().bytes(1, "in").bytes(2, "out").bytes(4, "GlobalAveragePool");
  const auto graph = OnnxBytes()
                         .bytes(1, node.text())
                         .bytes(2, "average")
                         .bytes(11, tensor_named("in", {1, 3, 112, 112}))
                         .bytes(12, tensor_named("out", {1, 3, 1, 1}));
  const auto operators = OnnxBytes().number(2, 11);
  return OnnxBytes().number(1, 6).bytes(7, graph.text()).bytes(8, operators.text()).text();
}

nlohmann::json averaging_description() {
  return {
      {"format", 1},
      {"engine", "average"},
      {"model", "average.onnx"},
      {"input",
       {{"side", 112}, {"channels", "RGB"}, {"mean", {0.0, 0.0, 0.0}}, {"std", {1.0, 1.0, 1.0}}}},
      {"dimension", 3},
      {"metric", "cosine"},
      {"thresholds", {{"verify", 0.4}, {"identify", 0.6}}}};
}

class Onnx : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "average.onnx", std::ios::binary) << averaging_network();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<std::unique_ptr<Engine>> engine_of(const nlohmann::json& description,
                                            const std::filesystem::path& models = {}) {
    std::ofstream(folder_ / "engine.json") << description.dump(2);
    return make_onnx_engine(folder_ / "engine.json", models);
  }

  std::filesystem::path folder_;
};

// Half red, a quarter green, no blue.
AlignedFace orange() {
  AlignedFace face{make_image(kAlignedSide, kAlignedSide)};
  for (size_t i = 0; i < face.image.rgb.size(); i += 3) {
    face.image.rgb[i] = 204;
    face.image.rgb[i + 1] = 102;
  }
  return face;
}

// The engines without weights: name and dimension.
class Classic : public testing::TestWithParam<std::pair<const char*, uint32_t>> {
 protected:
  const std::unique_ptr<Engine> engine_ = make_engine(GetParam().first).value();
};
INSTANTIATE_TEST_SUITE_P(Engines, Classic,
                         testing::Values(std::pair("classic", 256u), std::pair("texture", 640u)),
                         [](const auto& tested) { return std::string(tested.param.first); });

TEST_P(Classic, GivesUnitVectorsOfTheContractsDimension) {
  const auto [name, dimension] = GetParam();
  EXPECT_EQ(engine_->contract().engine, name);
  EXPECT_EQ(engine_->contract().dimension, dimension);
  const auto embedding = engine_->extract(drawn_face(1));
  ASSERT_TRUE(embedding.ok());
  EXPECT_EQ(embedding->size(), dimension);
  EXPECT_NEAR(norm(*embedding), 1, 1e-6);
}

// Not of `texture`, to which half the contrast is another texture.
TEST(ClassicEngine, HardlyMindsTheLight) {
  const auto engine = make_classic_engine();
  const auto usual = engine->extract(drawn_face(1));
  const auto dimmed = engine->extract(drawn_face(1, 0.5f, 0.1f));
  ASSERT_TRUE(usual.ok() && dimmed.ok());
  EXPECT_GT(cosine_score(*usual, *dimmed), 0.95);
}

TEST_P(Classic, SeesTheMirroredFaceAlike) {
  const AlignedFace face = drawn_face(1);
  AlignedFace mirrored{make_image(kAlignedSide, kAlignedSide)};
  cv::Mat target = mat_of(mirrored.image);
  cv::flip(mat_of(face.image), target, 1);
  EXPECT_NEAR(cosine_score(*engine_->extract(face), *engine_->extract(mirrored)), 1, 1e-5);
}

TEST(ClassicEngine, RefusesAFaceWithoutAnyGradient) {
  const auto embedding = make_classic_engine()->extract({make_image(kAlignedSide, kAlignedSide)});
  ASSERT_FALSE(embedding.ok());
  EXPECT_EQ(embedding.error().code, ErrorCode::internal);
}

TEST(Contract, DigestChangesWithEveryField) {
  const EmbeddingContract contract = make_classic_engine()->contract();
  std::vector<EmbeddingContract> others(7, contract);
  others[0].engine = "other";
  others[1].model_digest[31] ^= 1;
  others[2].dimension = 128;
  others[3].metric = "euclidean";
  others[4].normalisation = "none";
  others[5].threshold_verify += 1e-9;
  others[6].threshold_identify += 1e-9;
  EXPECT_EQ(contract_digest(contract), contract_digest(make_classic_engine()->contract()));
  for (const EmbeddingContract& other : others) {
    EXPECT_NE(other, contract);
    EXPECT_NE(contract_digest(other), contract_digest(contract));
  }
}

TEST(Engine, IsMadeByNameOrDescription) {
  EXPECT_TRUE(make_engine("classic").ok());
  EXPECT_EQ(make_engine("magic").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(make_engine("/nowhere/engine.json").error().code, ErrorCode::not_found);
}

TEST_F(Onnx, RunsTheNetworkOnRgb) {
  const auto engine = engine_of(averaging_description());
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const auto embedding = (*engine)->extract(orange());
  ASSERT_TRUE(embedding.ok()) << embedding.error().message;
  const float length = std::hypot(0.8f, 0.4f);
  EXPECT_THAT(*embedding, testing::ElementsAre(testing::FloatNear(0.8f / length, 1e-5f),
                                               testing::FloatNear(0.4f / length, 1e-5f),
                                               testing::FloatNear(0, 1e-5f)));
  EXPECT_EQ((*engine)->contract().engine, "average");
  EXPECT_EQ((*engine)->contract().threshold_identify, 0.6);
}

TEST_F(Onnx, AppliesChannelOrderMeanAndDeviation) {
  auto description = averaging_description();
  description["input"]["channels"] = "BGR";
  description["input"]["mean"] = {-0.1, 0.0, 0.0};
  description["input"]["std"] = {1.0, 1.0, 2.0};
  const auto engine = engine_of(description);
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const auto embedding = (*engine)->extract(orange());
  ASSERT_TRUE(embedding.ok());
  EXPECT_NEAR((*embedding)[0] / (*embedding)[1], 0.1 / 0.4, 1e-4);
  EXPECT_NEAR((*embedding)[2] / (*embedding)[1], 0.4 / 0.4, 1e-4);
}

TEST_F(Onnx, ScalesTheFaceToTheInput) {
  auto description = averaging_description();
  description["input"]["side"] = 64;
  const auto engine = engine_of(description);
  ASSERT_TRUE(engine.ok());
  EXPECT_TRUE((*engine)->extract(orange()).ok());
}

TEST_F(Onnx, FindsTheWeightsInTheModelFolder) {
  std::filesystem::create_directories(folder_ / "models");
  std::filesystem::rename(folder_ / "average.onnx", folder_ / "models" / "average.onnx");
  EXPECT_TRUE(engine_of(averaging_description(), folder_ / "models").ok());
}

TEST_F(Onnx, SaysWhereItLookedForMissingWeights) {
  std::filesystem::remove(folder_ / "average.onnx");
  const auto engine = engine_of(averaging_description(), "/models");
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().code, ErrorCode::not_found);
  EXPECT_THAT(engine.error().message, HasSubstr("average.onnx"));
  EXPECT_THAT(engine.error().message, HasSubstr(folder_.string()));
  EXPECT_THAT(engine.error().message, HasSubstr("/models"));
  EXPECT_THAT(engine.error().message, HasSubstr("BAUTA_MODELS"));
}

TEST_F(Onnx, RefusesOtherWeightsThanDescribed) {
  auto description = averaging_description();
  description["sha256"] = to_hex(sha256(as_bytes("others")));
  EXPECT_EQ(engine_of(description).error().code, ErrorCode::mismatch);
  description["sha256"] = to_hex(sha256(as_bytes(averaging_network())));
  EXPECT_TRUE(engine_of(description).ok());
}

TEST_F(Onnx, RefusesDamagedWeights) {
  std::ofstream(folder_ / "average.onnx") << "not a network";
  EXPECT_EQ(engine_of(averaging_description()).error().code, ErrorCode::corrupt);
}

TEST_F(Onnx, RefusesAnOutputOfAnotherDimension) {
  auto description = averaging_description();
  description["dimension"] = 128;
  const auto engine = engine_of(description);
  ASSERT_TRUE(engine.ok());
  const auto embedding = (*engine)->extract(orange());
  ASSERT_FALSE(embedding.ok());
  EXPECT_THAT(embedding.error().message, HasSubstr("gives 3 values; its description says 128"));
}

TEST_F(Onnx, BindsTheContractToWeightsAndPreprocessing) {
  const auto usual = engine_of(averaging_description());
  auto description = averaging_description();
  description["input"]["channels"] = "BGR";
  const auto other_input = engine_of(description);
  description = averaging_description();
  description["output"] = "out";
  const auto other_output = engine_of(description);
  ASSERT_TRUE(usual.ok() && other_input.ok() && other_output.ok());
  EXPECT_NE((*usual)->contract().model_digest, (*other_input)->contract().model_digest);
  EXPECT_NE((*usual)->contract().model_digest, (*other_output)->contract().model_digest);
}

TEST_F(Onnx, RefusesADescriptionWithoutAField) {
  for (const char* field :
       {"format", "engine", "model", "input", "dimension", "metric", "thresholds"}) {
    auto description = averaging_description();
    description.erase(field);
    const auto engine = engine_of(description);
    ASSERT_FALSE(engine.ok()) << field;
    EXPECT_EQ(engine.error().code, ErrorCode::corrupt) << field;
    EXPECT_THAT(engine.error().message, HasSubstr(field));
  }
}

TEST_F(Onnx, RefusesADescriptionWithAWrongValue) {
  const auto refused = [&](const char* pointer, const nlohmann::json& value) {
    auto description = averaging_description();
    description[nlohmann::json::json_pointer(pointer)] = value;
    const auto engine = engine_of(description);
    return !engine.ok() && engine.error().code == ErrorCode::corrupt;
  };
  EXPECT_TRUE(refused("/format", 2));
  EXPECT_TRUE(refused("/engine", ""));
  EXPECT_TRUE(refused("/engine", "classic"));
  EXPECT_TRUE(refused("/input/side", 8));
  EXPECT_TRUE(refused("/input/side", 100000));
  EXPECT_TRUE(refused("/input/channels", "GBR"));
  EXPECT_TRUE(refused("/input/mean", {0.5, 0.5}));
  EXPECT_TRUE(refused("/input/std", {1, 0, 1}));
  EXPECT_TRUE(refused("/dimension", 0));
  EXPECT_TRUE(refused("/dimension", "128"));
  EXPECT_TRUE(refused("/metric", "euclidean"));
  EXPECT_TRUE(refused("/thresholds/verify", 1.5));
  std::ofstream(folder_ / "engine.json") << "{ not json";
  EXPECT_EQ(make_onnx_engine(folder_ / "engine.json").error().code, ErrorCode::corrupt);
}

// Thresholds are distances in the description and scores in the contract.
TEST_F(Onnx, TakesSquaredDistancesForScores) {
  nlohmann::json description = averaging_description();
  description["metric"] = "squared_euclidean";
  description["thresholds"] = {{"verify", 1.2}, {"identify", 0.8}};
  const auto engine = engine_of(description);
  ASSERT_TRUE(engine.ok());
  const EmbeddingContract& contract = (*engine)->contract();
  EXPECT_EQ(contract.metric, "squared_euclidean");
  EXPECT_DOUBLE_EQ(contract.threshold_verify, 0.4);
  EXPECT_DOUBLE_EQ(contract.threshold_identify, 0.6);

  for (const double impossible : {-0.1, 4.5}) {
    description["thresholds"]["identify"] = impossible;
    const auto refused = engine_of(description);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("between 0 and 4"), std::string::npos);
  }
}

}  // namespace
}  // namespace bauta::face
