#include <cmath>
#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "face/engine.h"
#include "network/network.h"

namespace bauta::face {
namespace {

const std::string kTinyNetwork = BAUTA_FORMAT_VECTORS "/network-tiny.bnet";

// See docs/formats/network.md, Test vectors.
AlignedFace made_up_face() {
  AlignedFace face{make_image(kAlignedSide, kAlignedSide)};
  for (uint64_t i = 0; i < face.image.rgb.size(); ++i)
    face.image.rgb[i] = static_cast<uint8_t>((i * i + 7 * i) / 13);
  return face;
}

TEST(Patchnet, ContractIsThatOfTheFile) {
  const std::unique_ptr<Engine> engine = std::move(make_patchnet_engine(kTinyNetwork)).value();
  const network::Network network = std::move(network::read_network(kTinyNetwork)).value();
  EXPECT_EQ(engine->contract().engine, "tiny");
  EXPECT_EQ(engine->contract().dimension, 5u);
  EXPECT_EQ(engine->contract().model_digest, network.digest);
  EXPECT_EQ(engine->contract().threshold_verify, 0.25);
  EXPECT_EQ(engine->contract().threshold_identify, 0.5);
}

TEST(Patchnet, EmbeddingIsTheKnownAnswerBroughtToUnitLength) {
  const std::unique_ptr<Engine> engine = std::move(make_patchnet_engine(kTinyNetwork)).value();
  const Embedding embedding = std::move(engine->extract(made_up_face())).value();
  std::ifstream file(BAUTA_FORMAT_VECTORS "/network-tiny.txt");
  std::vector<double> expected(embedding.size());
  double squares = 0;
  for (double& value : expected) {
    file >> value;
    squares += value * value;
  }
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(embedding[i], expected[i] / std::sqrt(squares), 1e-5);
}

TEST(Patchnet, APictureBeyondTheBoundIsRefused) {
  Bytes file = std::move(read_file(kTinyNetwork, network::kMaxFileBytes)).value();
  // The bound of the first square stands after the stem's 44 bytes of header and 6,912 of weights.
  const size_t bound_at = 48 + 24 + 6912 + 12;
  const float bound = 0.01f;
  std::memcpy(&file[bound_at], &bound, sizeof bound);
  const Digest digest = sha256(ByteView(file).first(file.size() - sizeof(Digest)));
  std::copy(digest.begin(), digest.end(), file.end() - sizeof(Digest));
  const std::string path = testing::TempDir() + "/narrow.bnet";
  ASSERT_TRUE(write_file_atomically(path, file).ok());
  const std::unique_ptr<Engine> engine = std::move(make_patchnet_engine(path)).value();
  const Result<Embedding> embedding = engine->extract(made_up_face());
  ASSERT_FALSE(embedding.ok());
  EXPECT_EQ(embedding.error().code, ErrorCode::refused);
}

TEST(Patchnet, IsMadeByTheNameOfItsFile) {
  const std::unique_ptr<Engine> engine = std::move(make_engine(kTinyNetwork)).value();
  EXPECT_EQ(engine->contract().engine, "tiny");
}

TEST(Patchnet, MissingAndDamagedFilesAreRefused) {
  EXPECT_EQ(make_patchnet_engine("/nowhere/patch.bnet").error().code, ErrorCode::not_found);
  const std::string path = testing::TempDir() + "/damaged.bnet";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("BAUTANET")).ok());
  EXPECT_EQ(make_patchnet_engine(path).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace bauta::face
