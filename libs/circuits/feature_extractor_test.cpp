// From an encrypted image to an encrypted template, and everything that is refused on the way.
#include "circuits/feature_extractor.h"

#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "circuits/test_network.h"
#include "ckks/envelope.h"
#include "network/evaluation.h"

namespace bauta::circuits {
namespace {

using testing::HasSubstr;

// A tenant and an edge in a ring without security, whose keys are soon made.
class FeatureExtractorTest : public testing::Test {
 protected:
  static constexpr size_t kDegree = 8192;

  void SetUp() override {
    std::string pattern = testing::TempDir() + "bauta-circuits-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    ASSERT_TRUE(write_file_atomically(key_file(), make_key_file()).ok());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path key_file() const { return directory_ / "keys"; }

  Bytes make_key_file() const {
    const auto ring_switch = *ring_switch_parameters(plan_);
    Bytes file = serialize(ring_switch,
                           *secret::generate_ring_switch_key(ring_switch, tenant_, gallery_key_));
    const auto append = [&](const Bytes& bytes) {
      file.insert(file.end(), bytes.begin(), bytes.end());
    };
    for (const ckks::KeyUse& use : plan_.keys) {
      const ckks::KeySwitchShape& shape = plan_.ring.stages()[use.limbs == kLinearLimbs ? 1 : 0];
      const ckks::Parameters& parameters = plan_.ring.parameters();
      append(
          use.element == ckks::KeyUse::kRelinearization
              ? serialize(parameters, *secret::generate_relinearization_key(tenant_, shape))
              : serialize(parameters, *secret::generate_galois_key(tenant_, use.element, shape)));
    }
    return file;
  }

  std::unique_ptr<FeatureExtractor> open() const {
    auto extractor = FeatureExtractor::open(plan_, network_, key_file());
    EXPECT_TRUE(extractor.ok()) << extractor.error().message;
    const Status added = (*extractor)->add_edge(edge_switching_key());
    EXPECT_TRUE(added.ok()) << added.error().message;
    return std::move(*extractor);
  }

  Bytes edge_switching_key() const {
    return serialize(plan_.ring.parameters(),
                     *secret::generate_switching_key(edge_, tenant_, plan_.ring.stages().front()));
  }

  Bytes image(std::span<const float> maps) const {
    const ckks::Message message = *encode_image(plan_, network_.input, maps);
    return serialize_image(plan_, *secret::encrypt(edge_, message, plan_.ring.limbs()));
  }

  // The coefficients at the stride, and the largest of the others, in units of the scale.
  std::pair<std::vector<double>, double> decrypt_template(
      const ckks::CoefficientCiphertext& ciphertext) const {
    const auto decrypted = *secret::decrypt(gallery_key_, ciphertext);
    const std::vector<ring::ConstLimb> limbs = {decrypted.limb(0), decrypted.limb(1)};
    const auto values = ckks::centred_values(limbs, decrypted.basis());
    std::pair<std::vector<double>, double> result;
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % plan_.gallery.stride() == 0)
        result.first.push_back(values[i] / ciphertext.scale);
      else
        result.second = std::max(result.second, std::abs(values[i]) / ciphertext.scale);
    }
    return result;
  }

  const network::Network network_ = random_network(
      {.patches_per_side = 2, .map_side = 4, .block_side = 4, .channels = 3, .dimension = 70});
  const Plan plan_ = *insecure_make_plan(network_, kDegree);
  const secret::SecretKey tenant_ = fixed_key(plan_.ring.parameters(), "tenant");
  const secret::SecretKey edge_ = fixed_key(plan_.ring.parameters(), "edge");
  const secret::SecretKey gallery_key_ = fixed_key(plan_.gallery.ring(), "gallery");
  std::filesystem::path directory_;
};

TEST_F(FeatureExtractorTest, MakesTemplatesOfTheGallery) {
  const auto extractor = open();
  EXPECT_EQ(extractor->gallery_key_id(), gallery_key_.id());
  const std::vector<float> maps = random_maps(network_);
  const std::vector<float> expected = network::evaluate(network_, maps);

  const auto features = extractor->extract(image(maps));
  ASSERT_TRUE(features.ok()) << features.error().message;
  const match::StoredReference reference = extractor->reference(*features);
  EXPECT_EQ(reference.ciphertext.scale, plan_.gallery.reference_scale());
  EXPECT_EQ(reference.ciphertext.key_id, gallery_key_.id());
  const auto [k, stray] = decrypt_template(reference.ciphertext);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(k[i], expected[i], 1e-4);
  EXPECT_LT(stray, 1e-4);

  const match::SwitchedProbe probe = extractor->probe(*features, 0.75);
  EXPECT_EQ(probe.ciphertext.scale, plan_.gallery.probe_scale());
  const std::vector<double> q = decrypt_template(probe.ciphertext).first;
  EXPECT_NEAR(0.75 * q[0], expected[0], 1e-4);
  for (size_t i = 1; i < expected.size(); ++i)
    EXPECT_NEAR(0.75 * q[q.size() - i], -expected[i], 1e-4);
  // As template mode makes them.
  EXPECT_TRUE(match::parse_stored_reference(
                  plan_.gallery, match::serialize_stored_reference(plan_.gallery, reference))
                  .ok());
}

TEST_F(FeatureExtractorTest, FailsForImagesThatAreNotWhatTheySay) {
  const auto extractor = open();
  const auto refusal = [&](const Bytes& bytes) {
    const auto result = extractor->extract(bytes);
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
  };
  const Bytes intact = image(random_maps(network_));
  EXPECT_EQ(intact.size(), image_bytes(plan_));
  for (const size_t size : {size_t{0}, size_t{50}, intact.size() / 2, intact.size() - 1})
    EXPECT_EQ(refusal(Bytes(intact.begin(), intact.begin() + static_cast<long>(size))).code,
              ErrorCode::corrupt);
  Bytes longer = intact;
  longer.push_back(0);
  EXPECT_EQ(refusal(longer).code, ErrorCode::corrupt);
  for (const size_t place : {size_t{0}, size_t{20}, size_t{40}, size_t{60}, size_t{300}}) {
    Bytes flipped = intact;
    flipped[place] ^= 1;
    EXPECT_EQ(refusal(flipped).code, ErrorCode::corrupt);
  }

  // Of another network, which has another plan.
  const network::Network other = random_network({.dimension = 70});
  const Plan other_plan = *insecure_make_plan(other, kDegree);
  const ckks::Message message = *encode_image(other_plan, other.input, random_maps(other));
  EXPECT_EQ(refusal(serialize_image(other_plan,
                                    *secret::encrypt(edge_, message, other_plan.ring.limbs())))
                .code,
            ErrorCode::mismatch);
  // Of fewer limbs, in an intact envelope.
  ByteWriter payload;
  write_payload(payload, *secret::encrypt(edge_, message, 2));
  const Error fewer = refusal(ckks::seal_envelope(
      {.type = ckks::ObjectType::image, .parameters = plan_.digest, .key_id = edge_.id()},
      payload.bytes()));
  EXPECT_EQ(fewer.code, ErrorCode::mismatch);
  EXPECT_THAT(fewer.message, HasSubstr("2 limbs"));
  // Of an edge that nobody admitted.
  const secret::SecretKey stranger = fixed_key(plan_.ring.parameters(), "stranger");
  const ckks::Message own = *encode_image(plan_, network_.input, random_maps(network_));
  EXPECT_EQ(
      refusal(serialize_image(plan_, *secret::encrypt(stranger, own, plan_.ring.limbs()))).code,
      ErrorCode::refused);
}

TEST_F(FeatureExtractorTest, FailsForKeysThatAreNotThePlans) {
  const auto extractor = open();
  const Bytes key = edge_switching_key();
  EXPECT_EQ(extractor->add_edge(Bytes(key.begin(), key.end() - 1)).error().code,
            ErrorCode::corrupt);
  const secret::SecretKey stranger = fixed_key(plan_.ring.parameters(), "stranger");
  const auto to_stranger =
      *secret::generate_switching_key(edge_, stranger, plan_.ring.stages().front());
  EXPECT_EQ(extractor->add_edge(serialize(plan_.ring.parameters(), to_stranger)).error().code,
            ErrorCode::mismatch);

  const auto open_file = [&](const Bytes& bytes) {
    EXPECT_TRUE(write_file_atomically(key_file(), bytes).ok());
    return FeatureExtractor::open(plan_, network_, key_file()).error().code;
  };
  const Bytes intact = *read_file(key_file(), size_t{1} << 30);
  EXPECT_EQ(open_file(Bytes(intact.begin(), intact.end() - 1)), ErrorCode::corrupt);
  Bytes flipped = intact;
  flipped[flipped.size() - 100] ^= 1;
  EXPECT_EQ(open_file(flipped), ErrorCode::corrupt);
  // The first keys of two rotations in each other's place.
  auto use = std::next(plan_.keys.begin());
  auto place = intact.begin() + static_cast<long>(intact.size());
  for (auto later = use; later != plan_.keys.end(); ++later)
    place -= static_cast<long>(key_bytes(plan_, *later));
  while (key_bytes(plan_, *use) != key_bytes(plan_, *std::next(use)))
    place += static_cast<long>(key_bytes(plan_, *use++));
  const auto size = static_cast<long>(key_bytes(plan_, *use));
  Bytes swapped = intact;
  const auto first = swapped.begin() + (place - intact.begin());
  std::swap_ranges(first, first + size, first + size);
  EXPECT_EQ(open_file(swapped), ErrorCode::corrupt);
  std::filesystem::remove(key_file());
  EXPECT_EQ(FeatureExtractor::open(plan_, network_, key_file()).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace bauta::circuits
