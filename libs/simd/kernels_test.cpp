#include "simd/kernels.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <random>

#include <gtest/gtest.h>

namespace bauta::simd {
namespace {

TEST(ChooseKernels, TakesTheFastestUnlessToldOtherwise) {
  const Isa fastest = available_isas().back();
  EXPECT_EQ(choose_kernels(nullptr).value()->isa, fastest);
  EXPECT_EQ(choose_kernels("").value()->isa, fastest);
  for (Isa isa : available_isas()) EXPECT_EQ(choose_kernels(isa_name(isa)).value()->isa, isa);
}

TEST(ChooseKernels, FailsIfTheNameIsUnknown) {
  for (const char* name : {"AVX2", "avx", "avx512f", "scalar ", "none"}) {
    const auto choice = choose_kernels(name);
    ASSERT_FALSE(choice.ok()) << name;
    EXPECT_EQ(choice.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(choice.error().message.find("scalar, avx2 or avx512"), std::string::npos);
  }
}

TEST(ChooseKernels, FailsIfTheProcessorLacksTheInstructions) {
  for (Isa isa : {Isa::avx2, Isa::avx512}) {
    if (kernels_for(isa) != nullptr) continue;
    EXPECT_EQ(choose_kernels(isa_name(isa)).error().code, ErrorCode::unavailable);
  }
}

ModulusConstants constants_of(uint32_t q) {
  const auto bits = static_cast<uint32_t>(std::bit_width(q));
  return {q, bits, static_cast<uint32_t>((uint64_t{1} << (bits + 31)) / q),
          static_cast<uint32_t>((uint64_t{1} << 32) / q)};
}

constexpr uint32_t kModuli[] = {3,       5,         257,        65537,      7340033,
                                8257537, 536870909, 1071513601, 1073479681, 1073741789};
constexpr size_t kCounts[] = {16, 32, 48, 240};

using Words = std::vector<uint32_t>;

// Every test below runs on every instruction set, against 64-bit division.
class WordKernels : public testing::TestWithParam<Isa> {
 protected:
  const Kernels& kernels() const { return *kernels_for(GetParam()); }

  // Words below `bound`: in turn random, all largest, all zero, largest and zero by turns.
  Words words(size_t count, uint64_t bound) {
    Words values(count);
    const int kind = kind_++ % 7;
    for (size_t i = 0; i < count; ++i) {
      const bool largest = kind == 1 || (kind == 3 && i % 2 == 0);
      const bool zero = kind == 2 || (kind == 3 && i % 2 == 1);
      values[i] = static_cast<uint32_t>(largest ? bound - 1 : zero ? 0 : random_() % bound);
    }
    return values;
  }

  // Calls check(q, count) for every modulus and count, several times.
  void for_each_case(const std::function<void(const ModulusConstants&, size_t)>& check) {
    for (uint32_t q : kModuli)
      for (size_t count : kCounts)
        for (int round = 0; round < 14; ++round) check(constants_of(q), count);
  }

  std::mt19937_64 random_{GetParam() == Isa::scalar ? 1u : 2u};
  int kind_ = 0;
};

INSTANTIATE_TEST_SUITE_P(AllIsas, WordKernels, testing::ValuesIn(available_isas()),
                         [](const auto& test) { return isa_name(test.param); });

TEST_P(WordKernels, SumsAndDifferences) {
  for_each_case([&](const ModulusConstants& modulus, size_t count) {
    const uint64_t q = modulus.value;
    const Words a = words(count, q), b = words(count, q);
    Words sum(count), difference(count), negative(count);
    kernels().add(sum.data(), a.data(), b.data(), count, modulus);
    kernels().subtract(difference.data(), a.data(), b.data(), count, modulus);
    kernels().negate(negative.data(), a.data(), count, modulus);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(sum[i], (uint64_t{a[i]} + b[i]) % q);
      ASSERT_EQ(difference[i], (a[i] + q - b[i]) % q);
      ASSERT_EQ(negative[i], (q - a[i]) % q);
    }
  });
}

TEST_P(WordKernels, Products) {
  for_each_case([&](const ModulusConstants& modulus, size_t count) {
    const uint64_t q = modulus.value;
    const Words a = words(count, q), b = words(count, q), start = words(count, q);
    Words product(count), fused = start;
    kernels().multiply(product.data(), a.data(), b.data(), count, modulus);
    kernels().multiply_add(fused.data(), a.data(), b.data(), count, modulus);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(product[i], uint64_t{a[i]} * b[i] % q);
      ASSERT_EQ(fused[i], (uint64_t{a[i]} * b[i] + start[i]) % q);
    }
  });
}

TEST_P(WordKernels, ProductsWithConstants) {
  for_each_case([&](const ModulusConstants& modulus, size_t count) {
    const uint64_t q = modulus.value;
    const uint32_t w = words(1, q)[0];
    const ShoupFactor factor{w, static_cast<uint32_t>((uint64_t{w} << 32) / q)};
    const Words any = words(count, uint64_t{1} << 32), a = words(count, q), b = words(count, q);
    Words product(count), quotient(count);
    kernels().multiply_constant(product.data(), any.data(), factor, count, modulus);
    kernels().subtract_multiply_constant(quotient.data(), a.data(), b.data(), factor, count,
                                         modulus);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(product[i], uint64_t{any[i]} * w % q);
      ASSERT_EQ(quotient[i], (a[i] + q - b[i]) % q * w % q);
    }
  });
}

TEST_P(WordKernels, WorkInPlace) {
  for_each_case([&](const ModulusConstants& modulus, size_t count) {
    const Words a = words(count, modulus.value), b = words(count, modulus.value);
    Words apart(count), in_place = a;
    kernels().multiply(apart.data(), a.data(), b.data(), count, modulus);
    kernels().multiply(in_place.data(), in_place.data(), b.data(), count, modulus);
    ASSERT_EQ(in_place, apart);
    in_place = b;
    kernels().subtract(apart.data(), a.data(), b.data(), count, modulus);
    kernels().subtract(in_place.data(), a.data(), in_place.data(), count, modulus);
    ASSERT_EQ(in_place, apart);
  });
}

TEST_P(WordKernels, LazySumsOfAnyLength) {
  for (uint32_t q : kModuli) {
    const ModulusConstants modulus = constants_of(q);
    for (size_t terms : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 15u, 16u, 17u, 40u, 128u}) {
      for (size_t count : {16u, 48u}) {
        std::vector<Words> a, b, c;
        std::vector<const uint32_t*> pa, pb, pc;
        for (size_t t = 0; t < terms; ++t) {
          a.push_back(words(count, uint64_t{1} << 30));
          b.push_back(words(count, q));
          c.push_back(words(count, q));
          pa.push_back(a[t].data()), pb.push_back(b[t].data()), pc.push_back(c[t].data());
        }
        if (terms == 40) {  // the largest sum there is
          for (size_t t = 0; t < terms; ++t) {
            std::fill(a[t].begin(), a[t].end(), (1u << 30) - 1);
            std::fill(b[t].begin(), b[t].end(), q - 1);
          }
        }
        const Words weights = words(terms, q);
        Words ab(count), pair0(count), pair1(count), weighted(count);
        kernels().inner_product(ab.data(), pa.data(), pb.data(), terms, count, modulus);
        kernels().inner_product_pair(pair0.data(), pair1.data(), pa.data(), pb.data(), pc.data(),
                                     terms, count, modulus);
        kernels().weighted_sum(weighted.data(), pa.data(), weights.data(), terms, count, modulus);
        for (size_t i = 0; i < count; ++i) {
          uint64_t sum_b = 0, sum_c = 0, sum_w = 0;
          for (size_t t = 0; t < terms; ++t) {
            sum_b = (sum_b + uint64_t{a[t][i]} * b[t][i]) % q;
            sum_c = (sum_c + uint64_t{a[t][i]} * c[t][i]) % q;
            sum_w = (sum_w + uint64_t{a[t][i]} * weights[t]) % q;
          }
          ASSERT_EQ(ab[i], sum_b) << terms << " terms modulo " << q;
          ASSERT_EQ(pair0[i], sum_b);
          ASSERT_EQ(pair1[i], sum_c);
          ASSERT_EQ(weighted[i], sum_w);
        }
      }
    }
  }
}

TEST_P(WordKernels, MatricesOfWeights) {
  for (uint32_t q : kModuli) {
    const ModulusConstants modulus = constants_of(q);
    for (size_t outputs : {1u, 3u, 8u, 17u}) {
      for (size_t terms : {1u, 7u, 16u, 48u}) {
        constexpr size_t kCount = 64;
        std::vector<Words> a, sums(outputs, Words(kCount));
        std::vector<const uint32_t*> inputs;
        std::vector<uint32_t*> out;
        for (size_t t = 0; t < terms; ++t) a.push_back(words(kCount, uint64_t{1} << 30));
        for (const Words& input : a) inputs.push_back(input.data());
        for (Words& sum : sums) out.push_back(sum.data());
        const Words weights = words(outputs * terms, q);
        kernels().weighted_sums(out.data(), inputs.data(), weights.data(), outputs, terms, kCount,
                                modulus);
        for (size_t k = 0; k < outputs; ++k) {
          for (size_t i = 0; i < kCount; ++i) {
            uint64_t expected = 0;
            for (size_t t = 0; t < terms; ++t)
              expected = (expected + uint64_t{a[t][i]} * weights[k * terms + t]) % q;
            ASSERT_EQ(sums[k][i], expected) << outputs << "x" << terms << " modulo " << q;
          }
        }
      }
    }
  }
}

TEST_P(WordKernels, TensorTiles) {
  for (uint32_t q : kModuli) {
    const ModulusConstants modulus = constants_of(q);
    for (size_t terms : {1u, 4u, 8u, 9u, 16u, 128u}) {
      const Words probe = words(2 * terms * kTileWords, q),
                  block = words(2 * terms * kTileWords, q);
      Words out(3 * kTileWords);
      kernels().tensor_tile(out.data(), probe.data(), block.data(), block.data(), terms, modulus);
      for (size_t i = 0; i < kTileWords; ++i) {
        uint64_t sums[3] = {0, 0, 0};
        for (size_t t = 0; t < terms; ++t) {
          const size_t place = 2 * kTileWords * t + i;
          const uint64_t c0 = probe[place], c1 = probe[place + kTileWords];
          const uint64_t k0 = block[place], k1 = block[place + kTileWords];
          sums[0] = (sums[0] + c0 * k0) % q;
          sums[1] = (sums[1] + c0 * k1 % q + c1 * k0) % q;
          sums[2] = (sums[2] + c1 * k1) % q;
        }
        for (size_t part = 0; part < 3; ++part)
          ASSERT_EQ(out[part * kTileWords + i], sums[part]) << terms << " terms modulo " << q;
      }
    }
  }
}

TEST_P(WordKernels, PlainTiles) {
  for (uint32_t q : kModuli) {
    const ModulusConstants modulus = constants_of(q);
    for (size_t terms : {1u, 4u, 9u, 65u, 128u}) {
      const Words probe = words(terms * kTileWords, q), block = words(2 * terms * kTileWords, q);
      Words out(2 * kTileWords);
      kernels().plain_tile(out.data(), probe.data(), block.data(), block.data(), terms, modulus);
      for (size_t i = 0; i < 2 * kTileWords; ++i) {
        uint64_t sum = 0;
        for (size_t t = 0; t < terms; ++t)
          sum +=
              uint64_t{probe[t * kTileWords + i % kTileWords]} * block[2 * t * kTileWords + i] % q;
        ASSERT_EQ(out[i], sum % q) << terms << " terms modulo " << q;
      }
    }
  }
}

TEST_P(WordKernels, RoundedQuotients) {
  for (size_t terms : {1u, 2u, 5u, 64u}) {
    std::vector<ModulusConstants> moduli;
    for (size_t t = 0; t < terms; ++t) moduli.push_back(constants_of(kModuli[4 + t % 5]));
    for (int round = 0; round < 50; ++round) {
      std::vector<Words> a;
      std::vector<const uint32_t*> pointers;
      std::vector<const ModulusConstants*> constants;
      for (size_t t = 0; t < terms; ++t) {
        a.push_back(words(48, moduli[t].value));
        pointers.push_back(a[t].data());
        constants.push_back(&moduli[t]);
      }
      Words quotient(48);
      kernels().rounded_quotient(quotient.data(), pointers.data(), constants.data(), terms, 48);
      for (size_t i = 0; i < 48; ++i) {
        long double sum = 0;
        for (size_t t = 0; t < terms; ++t)
          sum += static_cast<long double>(a[t][i]) / moduli[t].value;
        const long double distance = sum - static_cast<long double>(quotient[i]);
        const long double slack = static_cast<long double>(terms) / (1u << 30);
        ASSERT_LE(distance, 0.5L + slack);
        ASSERT_GE(distance, -0.5L - slack);
      }
    }
  }
}

TEST_P(WordKernels, SignedIntegers) {
  for_each_case([&](const ModulusConstants& modulus, size_t count) {
    const int64_t q = modulus.value;
    const Words start = words(count, modulus.value);
    std::vector<int64_t> values(count);
    for (int64_t& value : values) value = static_cast<int64_t>(random_()) >> (random_() % 64);
    values[0] = INT64_MIN;
    values[1] = INT64_MAX;
    values[2] = -1;
    values[3] = 0;
    Words sum = start;
    kernels().add_signed(sum.data(), values.data(), count, modulus);
    for (size_t i = 0; i < count; ++i)
      ASSERT_EQ(sum[i], ((values[i] % q + q) % q + start[i]) % q) << values[i] << " modulo " << q;
  });
}

TEST_P(WordKernels, CentredLifts) {
  for (uint32_t p : kModuli) {
    for_each_case([&](const ModulusConstants& modulus, size_t count) {
      const int64_t q = modulus.value;
      Words a = words(count, p);
      a[0] = p / 2;
      a[1] = p / 2 + 1;
      Words lifted(count);
      kernels().lift_centred(lifted.data(), a.data(), constants_of(p), count, modulus);
      for (size_t i = 0; i < count; ++i) {
        const int64_t centred = a[i] > p / 2 ? int64_t{a[i]} - p : a[i];
        ASSERT_EQ(lifted[i], ((centred % q) + q) % q) << a[i] << " from " << p << " to " << q;
      }
    });
  }
}

TEST_P(WordKernels, PermutationsMoveBlocksAndPermuteThem) {
  Words patterns(256), blocks(40);
  for (size_t c = 0; c < 16; ++c)
    for (size_t j = 0; j < 16; ++j)
      // Keeps halves together: either swaps them or not, and rotates within.
      patterns[16 * c + j] = static_cast<uint32_t>(((j ^ c) & 8) | ((5 * j + c) & 7));
  for (size_t t = 0; t < blocks.size(); ++t)
    blocks[t] = static_cast<uint32_t>(16 * ((7 * t + 3) % blocks.size()) + random_() % 16);
  const Words in = words(16 * blocks.size(), uint64_t{1} << 32);
  Words out(in.size());
  kernels().permute(out.data(), in.data(), {blocks.size(), blocks.data(), patterns.data()});
  for (size_t i = 0; i < out.size(); ++i) {
    const uint32_t block = blocks[i / 16];
    ASSERT_EQ(out[i], in[block / 16 * 16 + patterns[16 * (block % 16) + i % 16]]);
  }
}

TEST_P(WordKernels, AcceptanceKeepsWhatIsBelow) {
  for_each_case([&](const ModulusConstants& modulus, size_t count) {
    const Words in = words(count, uint64_t{1} << 32);
    Words expected;
    for (uint32_t word : in) {
      const uint32_t masked = word & ((1u << modulus.bits) - 1);
      if (masked < modulus.value) expected.push_back(masked);
    }
    Words out(count);
    out.resize(kernels().accept_below(out.data(), in.data(), count, modulus));
    ASSERT_EQ(out, expected);
  });
}

}  // namespace
}  // namespace bauta::simd
