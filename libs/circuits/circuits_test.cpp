// Networks on ciphertexts and on the plaintext twin against the same networks in the clear.
#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "circuits/encrypted_network.h"
#include "circuits/precision.h"
#include "circuits/test_network.h"
#include "network/evaluation.h"

namespace bauta::circuits {
namespace {

using testing::HasSubstr;

using Slots = std::vector<ckks::Complex>;

// The slots of every ciphertext of an image.
std::vector<Slots> packed(const Plan& plan, const network::Network& network,
                          std::span<const float> maps) {
  const Layout& layout = plan.layouts.front();
  std::vector<Slots> image;
  for (size_t i = 0; i < plan.ciphertexts(); ++i) {
    const auto slots = layout.spread(maps, network.input.patches(), network.input.channels(),
                                     i / layout.lead(), i % layout.lead());
    image.emplace_back(slots.begin(), slots.end());
  }
  return image;
}

std::vector<ckks::PlainEvaluator::Ciphertext> encrypt(const ckks::PlainEvaluator& twin,
                                                      const Plan& plan,
                                                      std::span<const Slots> image) {
  std::vector<ckks::PlainEvaluator::Ciphertext> ciphertexts;
  for (const Slots& slots : image)
    ciphertexts.push_back(twin.encrypt(slots, plan.input_scale, plan.ring.limbs()));
  return ciphertexts;
}

std::vector<ckks::EvaluationCiphertext> encrypt(const Plan& plan, const secret::SecretKey& key,
                                                std::span<const Slots> image) {
  std::vector<ckks::EvaluationCiphertext> ciphertexts;
  for (const Slots& slots : image) ciphertexts.push_back(encrypt_slots(plan, key, slots));
  return ciphertexts;
}

double distance(std::span<const double> actual, std::span<const float> expected) {
  double squares = 0;
  for (size_t i = 0; i < expected.size(); ++i) squares += std::pow(actual[i] - expected[i], 2);
  return std::sqrt(squares);
}

// Shapes that differ in everything; the slots of 16384 hold them once, twice or 32 times.
const NetworkShape kShapes[] = {
    {.patches_per_side = 2, .map_side = 4, .block_side = 4, .channels = 3, .dimension = 5},
    {.patches_per_side = 1, .map_side = 8, .block_side = 2, .channels = 16, .dimension = 65},
    {.patches_per_side = 3, .map_side = 2, .block_side = 2, .channels = 8, .pool = 1},
    {.patches_per_side = 1, .map_side = 8, .block_side = 2, .channels = 9, .convolutions = 3},
    // Strides, in one ciphertext a strand and in one for a patch or two.
    {.patches_per_side = 2,
     .map_side = 8,
     .block_side = 1,
     .convolutions = 1,
     .dimension = 20,
     .blocks = {0, 6, 11}},
    {.patches_per_side = 3,
     .map_side = 16,
     .block_side = 1,
     .channels = 7,
     .convolutions = 1,
     .pool = 4,
     .dimension = 20,
     .blocks = {16, 32}},
};

TEST(EncryptedNetwork, TwinComputesWhatTheNetworkDoes) {
  for (const NetworkShape& shape : kShapes) {
    const network::Network network = random_network(shape);
    for (const size_t degree : {8192, 16384}) {
      const auto plan = insecure_make_plan(network, degree);
      ASSERT_TRUE(plan.ok()) << plan.error().message;
      const ckks::PlainEvaluator twin(plan->ring.parameters(), plan->ring.stages());
      const auto prepared = EncryptedNetwork<ckks::PlainEvaluator>::prepare(*plan, network, twin);
      ASSERT_TRUE(prepared.ok()) << prepared.error().message;
      const std::vector<float> maps = random_maps(network);
      size_t layers = 0, shares = 0;
      const auto result = prepared->run(
          encrypt(twin, *plan, packed(*plan, network, maps)), [&](size_t layer, auto output) {
            const bool last = layer + 1 == network.layers.size();
            if (last && output.empty()) {
              EXPECT_EQ(layers, ++shares * layer);
              return;
            }
            EXPECT_EQ(layer, last ? layer : layers++ % (network.layers.size() - 1));
            EXPECT_EQ(output.size(), last ? 1 : plan->layouts[layer + 1].lead());
            for (const auto& each : output)
              EXPECT_EQ(each.limbs, last ? kResultLimbs : plan->steps[layer + 1].limbs);
          });
      EXPECT_EQ(layers, plan->groups * (network.layers.size() - 1));
      EXPECT_EQ(shares, plan->groups);
      const std::vector<float> expected = network::evaluate(network, maps);
      const size_t width = plan->gallery.width();
      EXPECT_LT(distance(template_values(result.slots, width, expected.size()), expected), 1e-4);
      // k(1/Y) has the conjugate slots.
      const auto probe = prepared->probe(result, 1.25);
      EXPECT_EQ(probe.scale, plan->gallery.probe_scale());
      EXPECT_EQ(probe.limbs, kBaseLimbs);
      for (size_t i = 0; i < probe.slots.size(); ++i)
        ASSERT_LT(std::abs(1.25 * probe.slots[i] - std::conj(result.slots[i])), 1e-9);
      // The keys that the plan asks for are those that were used.
      std::set<ckks::KeyUse> used;
      for (const ckks::KeyUse& use : twin.key_uses())
        used.insert({use.element, plan->ring.stage(use.limbs).limbs});
      EXPECT_EQ(used, plan->keys);
    }
  }
}

class CiphertextsAndTwin : public testing::TestWithParam<size_t> {};

TEST_P(CiphertextsAndTwin, ComputeTheSame) {
  const network::Network network = random_network(kShapes[GetParam()]);
  const auto plan = insecure_make_plan(network, 8192);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  const ckks::PlainEvaluator twin(plan->ring.parameters(), plan->ring.stages());
  const auto on_twin = EncryptedNetwork<ckks::PlainEvaluator>::prepare(*plan, network, twin);
  const auto input = packed(*plan, network, random_maps(network));
  const auto expected = on_twin->run(encrypt(twin, *plan, input));

  const secret::SecretKey key = fixed_key(plan->ring.parameters(), "image");
  ThreadPool pool(2);
  const ckks::Evaluator evaluator(plan->ring.parameters(), make_keys(*plan, key), &pool);
  const auto encrypted = EncryptedNetwork<ckks::Evaluator>::prepare(*plan, network, evaluator);
  ASSERT_TRUE(encrypted.ok()) << encrypted.error().message;
  const auto result = encrypted->run(encrypt(*plan, key, input));
  EXPECT_TRUE(ckks::equal_scales(result.scale, expected.scale));
  const auto compare = [&](const auto& actual, const auto& wanted) {
    const std::vector<ckks::Complex> slots = decrypt_slots(key, actual);
    double largest = 0;
    for (size_t i = 0; i < slots.size(); ++i)
      largest = std::max(largest, std::abs(slots[i] - wanted.slots[i]));
    EXPECT_LT(largest, wanted.error_bound());
    EXPECT_LT(largest, 1e-3);
  };
  compare(result, expected);
  compare(encrypted->reference(result.clone(), 0.8), on_twin->reference(expected, 0.8));
  compare(encrypted->probe(result), on_twin->probe(expected));
}

INSTANTIATE_TEST_SUITE_P(Shapes, CiphertextsAndTwin, testing::Values(0, 4));

// The prediction against the error itself.
TEST(EncryptedNetwork, ErrorIsAsPredicted) {
  const network::Network network = random_network(kShapes[0]);
  const Plan plan = *insecure_make_plan(network, 8192);
  const std::vector<float> maps = random_maps(network);
  const secret::SecretKey key = fixed_key(plan.ring.parameters(), "image");
  const ckks::Evaluator evaluator(plan.ring.parameters(), make_keys(plan, key));
  const auto encrypted = *EncryptedNetwork<ckks::Evaluator>::prepare(plan, network, evaluator);
  const std::vector<float> expected = network::evaluate(network, maps);
  double squares = 0;
  constexpr int kRuns = 8;  // with 5 values each, a factor of 5 is many deviations away
  for (int run = 0; run < kRuns; ++run) {
    const auto slots = decrypt_slots(
        key, encrypted.reference(encrypted.run(encrypt(plan, key, packed(plan, network, maps)))));
    squares += std::pow(
        distance(template_values(slots, plan.gallery.width(), expected.size()), expected), 2);
  }
  const double error = std::sqrt(squares / static_cast<double>(kRuns * expected.size()));
  const double predicted = predicted_error(plan, network, maps);
  EXPECT_LT(error, 5 * predicted);
  EXPECT_GT(error, predicted / 5);
}

TEST(Plan, IsTheSameForTheSameShape) {
  const auto plan = make_plan(random_network(kShapes[1], 1));
  const auto same = make_plan(random_network(kShapes[1], 2));
  const auto other = make_plan(random_network(kShapes[3], 1));
  ASSERT_TRUE(plan.ok() && same.ok() && other.ok());
  EXPECT_EQ(plan->digest, same->digest);
  EXPECT_NE(plan->digest, other->digest);
  EXPECT_LE(plan->ring.parameters().log2_qp(), ckks::max_log2_qp(kImageDegree));
}

TEST(Plan, FailsIfTheNetworkDoesNotFit) {
  struct Case {
    NetworkShape shape;
    const char* reason;
  };
  const Case cases[] = {
      {{.map_side = 5, .pool = 5}, "power of two"},
      {{.map_side = 32, .channels = 64}, "has room for"},
      {{.patches_per_side = 2, .map_side = 2, .channels = 512}, "has room for"},
      {{.convolutions = 14}, "security"},
      {{.dimension = 2048}, "cannot be stored encrypted"},
  };
  for (const Case& refused : cases) {
    const auto plan = make_plan(random_network(refused.shape));
    ASSERT_FALSE(plan.ok()) << refused.reason;
    EXPECT_EQ(plan.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(plan.error().message, HasSubstr(refused.reason));
  }
}

TEST(Plan, ImageModeTakesOneCiphertext) {
  const network::Network wide = random_network(
      {.patches_per_side = 2, .map_side = 16, .block_side = 1, .convolutions = 1, .blocks = {8}});
  const auto plan = make_plan(wide);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(plan.error().message, HasSubstr("2 ciphertexts"));
  EXPECT_EQ(make_wide_plan(wide)->ciphertexts(), 2u);
}

// The security table bounds every number of levels.
TEST(ImageRing, EveryNumberOfLevelsIsSecureOrRefused) {
  for (size_t levels = 1; levels <= 26; ++levels) {
    const auto ring = ImageRing::create(levels);
    if (!ring.ok()) {
      EXPECT_GT(levels, 20u);
      continue;
    }
    EXPECT_LE(ring->parameters().log2_qp(), ckks::max_log2_qp(kImageDegree));
    EXPECT_FALSE(ring->parameters().insecure());
    EXPECT_EQ(ring->limbs(), levels + kBaseLimbs);
  }
  EXPECT_FALSE(ImageRing::create(0).ok());
  EXPECT_FALSE(ImageRing::create(1000).ok());
}

}  // namespace
}  // namespace bauta::circuits
