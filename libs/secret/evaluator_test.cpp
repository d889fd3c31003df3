// Every operation on ciphertexts against the plaintext twin: the results agree within the error
// that the twin predicts, and the prediction is not a hundred times too careful.
#include "ckks/evaluator.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "ckks/plain_evaluator.h"
#include "ckks/test_parameters.h"
#include "ring/primes.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::secret {
namespace {

using ckks::Complex;
using ckks::Evaluator;
using ckks::KeySwitchShape;
using ckks::KeyUse;
using ckks::Parameters;
using ckks::PlainEvaluator;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) fmt::print(stderr, "{}\n", result.error().message);
  BAUTA_ASSERT(result.ok());
  return std::move(result).value();
}

// Two base primes of 30 bits, levels near 2^29, special primes below 2^30.
ckks::ParametersLiteral chain_literal(size_t degree, size_t levels, size_t special) {
  const auto large = must(ring::primes_below(1u << 30, 2 + special));
  ckks::ParametersLiteral literal{
      .degree = degree, .primes = {large[0], large[1]}, .special_primes = {}};
  const auto level_primes = must(ring::primes_near(1u << 29, levels));
  literal.primes.insert(literal.primes.end(), level_primes.begin(), level_primes.end());
  literal.special_primes.assign(large.begin() + 2, large.end());
  return literal;
}

SecretKey fixed_key(const Parameters& parameters) {
  SecretBytes seed = must(SecretBytes::create(kSeedBytes));
  seed.data()[0] = 7;
  return must(SecretKey::expand(parameters, seed, "image ring"));
}

std::vector<Complex> random_slots(size_t count, uint64_t number, double magnitude = 1) {
  std::mt19937_64 random(number);
  std::uniform_real_distribution<double> radius(0, 1), angle(-3.2, 3.2);
  std::vector<Complex> slots(count);
  for (Complex& slot : slots)
    slot = std::polar(magnitude * std::sqrt(radius(random)), angle(random));
  return slots;
}

constexpr double kScale = 0x1p29;

// A toy ring with two stages of keys, every key a test may ask for, and the twin.
struct World {
  static constexpr size_t kLimbs = 6;
  Parameters parameters;
  SecretKey key;
  std::vector<KeySwitchShape> stages;
  std::shared_ptr<ckks::KeySet> keys;
  Evaluator evaluator;
  PlainEvaluator twin;

  explicit World(ThreadPool* pool = nullptr)
      : parameters(must(Parameters::insecure_create(chain_literal(2048, kLimbs - 2, 3)))),
        key(fixed_key(parameters)),
        // Full digits of two; below four limbs, the spent primes serve as special ones too.
        stages{ckks::top_shape(parameters, 2),
               {.limbs = 3, .special_begin = 4, .special_count = 5, .digit_limbs = 3}},
        keys(make_keys(key, stages)),
        evaluator(parameters, keys, pool),
        twin(parameters, stages) {}

  static std::shared_ptr<ckks::KeySet> make_keys(const SecretKey& key,
                                                 std::span<const KeySwitchShape> stages) {
    auto keys = std::make_shared<ckks::KeySet>(must(ckks::KeySet::create(key.id(), stages)));
    const size_t degree = key.parameters().degree();
    for (const KeySwitchShape& shape : stages) {
      BAUTA_ASSERT(keys->add(must(generate_relinearization_key(key, shape))).ok());
      for (const uint32_t element :
           {ckks::rotation_element(1, degree), ckks::rotation_element(-3, degree),
            ckks::rotation_element(16, degree), ckks::conjugation_element(degree)})
        BAUTA_ASSERT(keys->add(must(generate_galois_key(key, element, shape))).ok());
    }
    return keys;
  }

  Evaluator::Ciphertext encrypt(std::span<const Complex> slots, double scale, size_t limbs) const {
    const auto message = must(ckks::Encoder(parameters.degree()).encode(slots, scale));
    return to_evaluation(expand(must(secret::encrypt(key, message, limbs))));
  }
};

World& world() {
  static World one;
  return one;
}

std::vector<Complex> decrypt_slots(const SecretKey& key, const Evaluator::Ciphertext& ciphertext) {
  const auto decrypted = must(decrypt(key, to_coefficient(ciphertext.clone())));
  std::vector<ring::ConstLimb> limbs;
  for (size_t i = 0; i < decrypted.limb_count(); ++i) limbs.push_back(decrypted.limb(i));
  return ckks::Encoder(decrypted.degree())
      .decode(ckks::centred_values(limbs, decrypted.basis()), ciphertext.scale);
}

struct SlotErrors {
  double max = 0, rms = 0;
};

SlotErrors slot_errors(const std::vector<Complex>& actual, const std::vector<Complex>& expected) {
  SlotErrors errors;
  for (size_t i = 0; i < expected.size(); ++i) {
    errors.max = std::max(errors.max, std::abs(actual[i] - expected[i]));
    errors.rms += std::norm(actual[i] - expected[i]);
  }
  errors.rms = std::sqrt(errors.rms / static_cast<double>(expected.size()));
  return errors;
}

void expect_predicted(const SecretKey& key, const Evaluator::Ciphertext& actual,
                      const PlainEvaluator::Ciphertext& expected) {
  EXPECT_EQ(actual.limbs(), expected.limbs);
  EXPECT_TRUE(ckks::equal_scales(actual.scale, expected.scale));
  const SlotErrors errors = slot_errors(decrypt_slots(key, actual), expected.slots);
  EXPECT_LE(errors.max, expected.error_bound());
  EXPECT_GE(errors.max * 100, expected.error_bound());
}

// Runs a circuit of one or two inputs on both evaluators.
template <typename Circuit>
void expect_agreement(Circuit circuit, size_t limbs = World::kLimbs, double scale = kScale) {
  World& w = world();
  const std::vector<Complex> a = random_slots(w.evaluator.slots(), 1);
  const std::vector<Complex> b = random_slots(w.evaluator.slots(), 2);
  const Evaluator::Ciphertext actual =
      circuit(w.evaluator, w.encrypt(a, scale, limbs), w.encrypt(b, scale, limbs));
  const PlainEvaluator::Ciphertext expected =
      circuit(w.twin, w.twin.encrypt(a, scale, limbs), w.twin.encrypt(b, scale, limbs));
  expect_predicted(w.key, actual, expected);
}

TEST(Evaluator, FreshCiphertextsHoldTheirSlots) {
  for (const size_t limbs : {1, 2, 6})
    expect_agreement([](const auto&, auto a, auto) { return a; }, limbs,
                     limbs == 1 ? 0x1p25 : kScale);
}

TEST(Evaluator, AddsSubtractsAndNegates) {
  expect_agreement([](const auto& evaluator, auto a, auto b) {
    evaluator.add_in_place(a, b);
    return a;
  });
  expect_agreement([](const auto& evaluator, auto a, auto b) {
    evaluator.subtract_in_place(a, b);
    evaluator.negate_in_place(a);
    return a;
  });
}

TEST(Evaluator, AddsAndMultipliesPlaintexts) {
  const std::vector<Complex> slots = random_slots(1024, 3, 2.5);
  expect_agreement([&](const auto& evaluator, auto a, auto) {
    evaluator.add_plain_in_place(a, must(evaluator.encode(slots, kScale, World::kLimbs)));
    return a;
  });
  expect_agreement([&](const auto& evaluator, auto a, auto) {
    evaluator.multiply_plain_in_place(a, must(evaluator.encode(slots, kScale, World::kLimbs)));
    return a;
  });
  // A plaintext with little scale: its own rounding is the larger error.
  expect_agreement([&](const auto& evaluator, auto a, auto) {
    evaluator.multiply_plain_in_place(a, must(evaluator.encode(slots, 0x1p15, World::kLimbs)));
    return a;
  });
}

TEST(Evaluator, AddsAndMultipliesConstants) {
  expect_agreement([](const auto& evaluator, auto a, auto) {
    evaluator.add_constant_in_place(a, -0.7071);
    evaluator.multiply_constant_in_place(a, 1.25e-1, 0x1p20);
    return a;
  });
}

TEST(Evaluator, MultipliesRelinearisesAndRescales) {
  const auto product = [](const auto& evaluator, auto a, auto b) {
    auto c = evaluator.relinearize(evaluator.multiply(a, b));
    evaluator.rescale_in_place(c);
    return c;
  };
  expect_agreement(product);
  expect_agreement(product, 3);  // on the second stage's keys
  expect_agreement([](const auto& evaluator, auto a, auto) {
    auto c = evaluator.relinearize(evaluator.square(a));
    evaluator.rescale_in_place(c);
    return c;
  });
  // Two products, relinearised once.
  expect_agreement([](const auto& evaluator, auto a, auto b) {
    auto sum = evaluator.multiply(a, b);
    evaluator.add_in_place(sum, evaluator.square(b));
    return evaluator.relinearize(std::move(sum));
  });
}

TEST(Evaluator, DropsLimbs) {
  expect_agreement([](const auto& evaluator, auto a, auto) {
    evaluator.drop_limbs_in_place(a, 2);
    return a;
  });
}

TEST(Evaluator, RotatesAndConjugates) {
  for (const size_t limbs : {6, 5, 3, 2})
    for (const int64_t steps : {0, 1, -3, 16})
      expect_agreement(
          [&](const auto& evaluator, auto a, auto) { return evaluator.rotate(a, steps); }, limbs);
  expect_agreement([](const auto& evaluator, auto a, auto) { return evaluator.conjugate(a); });
}

TEST(Evaluator, HoistedRotationsAreTheSameBits) {
  World& w = world();
  const auto a = w.encrypt(random_slots(1024, 1), kScale, 6);
  const auto hoisted = w.evaluator.hoist(a);
  for (const int64_t steps : {1, -3, 16}) {
    const auto one = w.evaluator.rotate(a, steps);
    const auto other = w.evaluator.rotate(hoisted, steps);
    EXPECT_TRUE(one.c0 == other.c0 && one.c1 == other.c1);
  }
}

// Rounded in another place, so not the same bits, but the same message.
TEST(Evaluator, RotatesModuloTheSpecialPrimesToo) {
  for (const size_t limbs : {6, 3})
    for (const int64_t steps : {0, 1, -3, 16})
      expect_agreement(
          [&](const auto& evaluator, auto a, auto) {
            return evaluator.reduce(evaluator.rotate_extended(evaluator.hoist(a), steps));
          },
          limbs);
}

// A linear map by double hoisting: the sum of four rotations with weights, turned again.
TEST(Evaluator, SumsRotationsWithOneDivision) {
  for (const size_t limbs : {6, 3})
    expect_agreement(
        [&](const auto& evaluator, auto a, auto) {
          using Scheme = std::remove_cvref_t<decltype(evaluator)>;
          const auto hoisted = evaluator.hoist(a);
          std::vector<typename Scheme::Extended> terms;
          std::vector<typename Scheme::Plaintext> factors;
          for (const int64_t steps : {0, 1, -3, 16}) {
            terms.push_back(evaluator.rotate_extended(hoisted, steps));
            const auto weights = random_slots(1024, static_cast<uint64_t>(100 + steps));
            factors.push_back(must(evaluator.encode_extended(weights, kScale, limbs)));
          }
          std::vector<const typename Scheme::Extended*> term_pointers;
          std::vector<const typename Scheme::Plaintext*> factor_pointers;
          for (size_t i = 0; i < terms.size(); ++i) {
            term_pointers.push_back(&terms[i]);
            factor_pointers.push_back(&factors[i]);
          }
          auto sum = evaluator.inner_product(term_pointers, factor_pointers);
          auto turned = evaluator.rotate_extended(
              evaluator.inner_product(term_pointers, factor_pointers), 16);
          evaluator.add_in_place(turned, sum);
          auto result = evaluator.reduce(std::move(turned));
          evaluator.rescale_in_place(result);
          return result;
        },
        limbs);
}

// Factors that repeat over the slots, and the same factors written out.
TEST(Evaluator, SumsRotationsTimesPeriodicFactors) {
  const std::vector<int64_t> steps = {0, 1, -3, 16};
  const std::vector<ckks::Turn> turns = {{0, 16}, {0, 0}, {0, 1}, {0, -3}};
  const std::vector<size_t> terms_of_steps = {1, 2, 3, 0};
  const auto rotate_and_sum = [&](const auto& evaluator, const auto& hoisted, const auto& factors) {
    const typename std::decay_t<decltype(evaluator)>::Sums wanted{terms_of_steps, &factors};
    return evaluator.rotate_and_sum({&hoisted, 1}, turns, {&wanted, 1});
  };
  for (const size_t period : {2, 16, 64}) {
    std::mt19937_64 random(period);
    std::uniform_real_distribution<double> uniform(-2, 2);
    std::vector<std::vector<double>> values(3 * steps.size(), std::vector<double>(period));
    for (auto& factor : values)
      for (double& value : factor) value = uniform(random);
    const size_t limbs = 5;
    expect_agreement(
        [&](const auto& evaluator, auto a, auto) {
          const auto factors = must(evaluator.encode_periodic(values, 3, kScale, limbs));
          return evaluator.reduce(
              std::move(rotate_and_sum(evaluator, evaluator.hoist(a), factors)[2]));
        },
        limbs);

    const World& w = world();
    const auto source = w.encrypt(random_slots(w.evaluator.slots(), 9), kScale, limbs);
    const auto hoisted = w.evaluator.hoist(source);
    const auto factors_of_sums = must(w.evaluator.encode_periodic(values, 3, kScale, limbs));
    const auto sums = rotate_and_sum(w.evaluator, hoisted, factors_of_sums);
    for (size_t o = 0; o < sums.size(); ++o) {
      std::vector<Evaluator::Extended> terms;
      std::vector<Evaluator::Plaintext> factors;
      for (size_t t = 0; t < steps.size(); ++t) {
        std::vector<Complex> slots(w.evaluator.slots());
        for (size_t i = 0; i < slots.size(); ++i)
          slots[i] = values[o * steps.size() + t][i % period];
        terms.push_back(w.evaluator.rotate_extended(hoisted, steps[t]));
        factors.push_back(must(w.evaluator.encode_extended(slots, kScale, limbs)));
      }
      std::vector<const Evaluator::Extended*> term_list;
      std::vector<const Evaluator::Plaintext*> factor_list;
      for (size_t t = 0; t < steps.size(); ++t) {
        term_list.push_back(&terms[t]);
        factor_list.push_back(&factors[t]);
      }
      const auto expected = w.evaluator.inner_product(term_list, factor_list);
      EXPECT_EQ(sums[o].c0, expected.c0);
      EXPECT_EQ(sums[o].c1, expected.c1);
    }
  }
}

TEST(Evaluator, SumsRotationsOfSeveralCiphertexts) {
  expect_agreement(
      [&](const auto& evaluator, auto a, auto b) {
        const size_t limbs = 5;
        using Scheme = std::decay_t<decltype(evaluator)>;
        const auto one = must(evaluator.encode_periodic(
            std::vector<std::vector<double>>{{1, -0.5}, {0.25, 1}}, 2, kScale, limbs));
        const auto two = must(evaluator.encode_periodic(
            std::vector<std::vector<double>>{{0.5, 1}, {-1, 0.75}}, 1, kScale, limbs));
        std::vector<typename Scheme::Hoisted> sources;
        sources.push_back(evaluator.hoist(a));
        sources.push_back(evaluator.hoist(b));
        const std::vector<ckks::Turn> turns = {{0, 1}, {1, 0}, {1, -3}};
        const std::vector<size_t> first = {2}, second = {0, 1};
        const std::vector<typename Scheme::Sums> wanted = {{first, &one}, {second, &two}};
        auto sums = evaluator.rotate_and_sum(sources, turns, wanted);
        evaluator.add_in_place(sums[0], sums[1]);
        evaluator.add_in_place(sums[0], sums[2]);
        return evaluator.reduce(std::move(sums[0]));
      },
      5);
}

TEST(Evaluator, GivesTheSameBitsWhateverTheThreads) {
  ThreadPool pool(3);
  const World threaded(&pool);
  World& w = world();
  const auto a = w.encrypt(random_slots(1024, 1), kScale, 6);
  // The keys of the two worlds differ, so only what needs none, or the same ones, is compared.
  const Evaluator other(w.parameters, w.keys, &pool);
  const auto one = w.evaluator.relinearize(w.evaluator.square(w.evaluator.rotate(a, 1)));
  const auto two = other.relinearize(other.square(other.rotate(a, 1)));
  EXPECT_TRUE(one.c0 == two.c0 && one.c1 == two.c1);
}

TEST(PlainEvaluator, CollectsTheKeysACircuitNeeds) {
  World& w = world();
  const PlainEvaluator twin(w.parameters, w.stages);
  auto a = twin.encrypt(random_slots(1024, 1), kScale, 6);
  a = twin.relinearize(twin.square(a));
  twin.rescale_in_place(a);
  a = twin.rotate(a, 5);
  const std::set<KeyUse> expected = {{KeyUse::kRelinearization, 6},
                                     {ckks::rotation_element(5, 2048), 5}};
  EXPECT_EQ(twin.key_uses(), expected);
  const Status missing = w.keys->check(twin.key_uses());
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

TEST(EvaluatorDeathTest, BothRefuseTheSame) {
  World& w = world();
  const auto refuse = [&](auto circuit) {
    const std::vector<Complex> slots = random_slots(1024, 1);
    EXPECT_DEATH(circuit(w.evaluator, w.encrypt(slots, kScale, 6), w.encrypt(slots, 0x1p28, 6),
                         w.encrypt(slots, kScale, 5)),
                 "internal error");
    EXPECT_DEATH(circuit(w.twin, w.twin.encrypt(slots, kScale, 6), w.twin.encrypt(slots, 0x1p28, 6),
                         w.twin.encrypt(slots, kScale, 5)),
                 "internal error");
  };
  refuse([](const auto& e, auto a, auto other_scale, auto) { e.add_in_place(a, other_scale); });
  refuse([](const auto& e, auto a, auto, auto other_limbs) { e.add_in_place(a, other_limbs); });
  refuse([](const auto& e, auto a, auto, auto other_limbs) { (void)e.multiply(a, other_limbs); });
  refuse([](const auto& e, auto a, auto, auto) { e.drop_limbs_in_place(a, 7); });
  refuse([](const auto& e, auto a, auto, auto) {
    e.drop_limbs_in_place(a, 1);
    e.rescale_in_place(a);
  });
}

TEST(KeySet, AddFailsForAnotherSecretOrShape) {
  World& w = world();
  SecretBytes seed = must(SecretBytes::create(kSeedBytes));
  const SecretKey other = must(SecretKey::expand(w.parameters, seed, "other"));
  auto keys = must(ckks::KeySet::create(w.key.id(), w.stages));
  EXPECT_EQ(keys.add(must(generate_relinearization_key(other, w.stages[0]))).error().code,
            ErrorCode::mismatch);
  EXPECT_EQ(keys.add(must(generate_relinearization_key(w.key, ckks::top_shape(w.parameters, 3))))
                .error()
                .code,
            ErrorCode::mismatch);
  const KeySwitchShape twice[] = {w.stages[0], w.stages[0]};
  EXPECT_FALSE(ckks::KeySet::create(w.key.id(), twice).ok());
  EXPECT_FALSE(ckks::KeySet::create(w.key.id(), {}).ok());
}

TEST(Encoder, RefusesWhatDoesNotFit) {
  const ckks::Encoder encoder(2048);
  EXPECT_FALSE(encoder.encode(std::vector<Complex>(1025), kScale).ok());
  EXPECT_FALSE(encoder.encode(std::vector<double>{NAN}, kScale).ok());
  EXPECT_FALSE(encoder.encode(std::vector<double>{1e300}, kScale).ok());
  EXPECT_FALSE(encoder.encode_coefficients(std::vector<double>{0x1p40}, kScale).ok());
  EXPECT_FALSE(encoder.encode_coefficients(std::vector<double>(2049), kScale).ok());
}

TEST(PublicEncryption, HoldsItsSlots) {
  World& w = world();
  const auto public_key = must(generate_public_key(w.key));
  for (const size_t limbs : {6, 2}) {
    const auto slots = random_slots(1024, 4);
    const auto message = must(ckks::Encoder(2048).encode(slots, kScale));
    const auto ciphertext =
        to_evaluation(must(encrypt_public(w.parameters, public_key, message, limbs)));
    expect_predicted(w.key, ciphertext, w.twin.encrypt(slots, kScale, limbs, /*public_key=*/true));
  }
}

// x <- x*y with fresh y, at real parameters: 128-bit security, one level a product.
TEST(Chain, TwentyProductsKeepTwelveBits) {
  const size_t levels = 20;
  const Parameters parameters = must(Parameters::create(chain_literal(32768, levels, 7)));
  const SecretKey key = fixed_key(parameters);
  const auto public_key = must(generate_public_key(key));
  const KeySwitchShape stages[] = {ckks::top_shape(parameters, 7)};
  auto keys = std::make_shared<ckks::KeySet>(must(ckks::KeySet::create(key.id(), stages)));
  ASSERT_TRUE(keys->add(must(generate_relinearization_key(key, stages[0]))).ok());
  ThreadPool pool(2);
  const Evaluator evaluator(parameters, keys, &pool);
  const PlainEvaluator twin(parameters, stages);
  const ckks::Encoder encoder(parameters.degree());
  const auto encrypt = [&](const std::vector<Complex>& slots, double scale, size_t limbs) {
    return to_evaluation(
        must(encrypt_public(parameters, public_key, must(encoder.encode(slots, scale)), limbs)),
        &pool);
  };
  std::vector<Complex> slots(evaluator.slots());
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = std::cos(static_cast<double>(i));
  size_t limbs = levels + 2;
  auto x = encrypt(slots, kScale, limbs);
  auto plain_x = twin.encrypt(slots, kScale, limbs, true);
  for (size_t level = 0; level < levels; ++level, --limbs) {
    // Near one, so that the message stays as large as its errors let it.
    for (size_t i = 0; i < slots.size(); ++i)
      slots[i] = 1 - 0.05 * std::abs(std::sin(static_cast<double>(i + level)));
    // The scale that brings the product back to kScale exactly.
    const double scale = kScale * evaluator.last_modulus(limbs) / x.scale;
    x = evaluator.relinearize(evaluator.multiply(x, encrypt(slots, scale, limbs)));
    evaluator.rescale_in_place(x);
    plain_x = twin.relinearize(twin.multiply(plain_x, twin.encrypt(slots, scale, limbs, true)));
    twin.rescale_in_place(plain_x);
  }
  EXPECT_EQ(x.limbs(), 2u);
  EXPECT_NEAR(x.scale / kScale, 1, 1e-12);
  const SlotErrors errors = slot_errors(decrypt_slots(key, x), plain_x.slots);
  const double bits = -std::log2(errors.rms);
  fmt::print("20 products: rms error 2^-{:.1f}, bound predicted 2^{:.1f}, max 2^{:.1f}\n", bits,
             std::log2(plain_x.error_bound()), std::log2(errors.max));
  EXPECT_GE(bits, 12);
  EXPECT_LE(errors.max, plain_x.error_bound());
  EXPECT_GE(errors.max * 100, plain_x.error_bound());
}

}  // namespace
}  // namespace bauta::secret
