#include "ring/ntt.h"

#include <random>

#include <gtest/gtest.h>

#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

// p(x) modulo q, by Horner's rule.
uint32_t evaluate_at(ConstLimb coefficients, uint32_t x, const Modulus& modulus) {
  uint32_t value = 0;
  for (size_t i = coefficients.size(); i-- > 0;)
    value = modulus.add(modulus.multiply(value, x), coefficients[i]);
  return value;
}

TEST(Ntt, RefusesDegreesAndModuliOutsideItsContract) {
  EXPECT_FALSE(NttTables::get(9, 1073479681).ok());
  EXPECT_FALSE(NttTables::get(17, 1073479681).ok());
  EXPECT_FALSE(NttTables::get(12, 1073479682).ok());
  EXPECT_FALSE(NttTables::get(12, 1073741789).ok());  // prime, but not 1 modulo 8192
}

TEST(Ntt, TablesAreMadeOnce) {
  EXPECT_EQ(NttTables::get(12, 1073479681).value(), NttTables::get(12, 1073479681).value());
  EXPECT_NE(NttTables::get(12, 1073479681).value(), NttTables::get(13, 1073479681).value());
}

TEST(Ntt, PsiIsTheSmallestPrimitiveRoot) {
  const NttTables& ntt = *NttTables::get(10, 7340033).value();
  const Modulus& modulus = ntt.modulus();
  for (uint32_t candidate = 2; candidate <= ntt.psi(); ++candidate)
    EXPECT_EQ(modulus.power(candidate, ntt.degree()) == modulus.value() - 1,
              candidate == ntt.psi());
}

TEST(Ntt, ExponentAndIndexAreInverse) {
  for (size_t log_degree = kMinLogDegree; log_degree <= kMaxLogDegree; ++log_degree) {
    EXPECT_EQ(evaluation_exponent(log_degree, 0), 1u);
    EXPECT_EQ(evaluation_exponent(log_degree, 1), 1u + (1u << log_degree));
    for (size_t i = 0; i < size_t{1} << log_degree; i += 7)
      EXPECT_EQ(evaluation_index(log_degree, evaluation_exponent(log_degree, i)), i);
  }
}

TEST(Ntt, ValuesStandInTheDocumentedOrder) {
  std::mt19937_64 random(2);
  for (size_t log_degree = kMinLogDegree; log_degree <= kMaxLogDegree; ++log_degree) {
    for (uint32_t q : {1073479681u, 7340033u}) {
      const NttTables& ntt = *NttTables::get(log_degree, q).value();
      const auto coefficients = random_residues(random, ntt.degree(), q);
      auto values = coefficients;
      ntt.forward(values);
      for (size_t sample = 0; sample < 20; ++sample) {
        const size_t i = sample < 2 ? sample : random() % ntt.degree();
        const uint32_t root = ntt.modulus().power(ntt.psi(), evaluation_exponent(log_degree, i));
        ASSERT_EQ(values[i], evaluate_at(coefficients, root, ntt.modulus()))
            << "degree " << ntt.degree() << ", value " << i;
      }
    }
  }
}

TEST(Ntt, InverseUndoesForwardAtTheEndsOfTheRange) {
  std::mt19937_64 random(3);
  for (size_t log_degree = kMinLogDegree; log_degree <= kMaxLogDegree; ++log_degree) {
    for (uint32_t q : {1073479681u, 8257537u}) {
      const NttTables& ntt = *NttTables::get(log_degree, q).value();
      for (int kind = 0; kind < 3; ++kind) {
        auto values = random_residues(random, ntt.degree(), q);
        if (kind == 1) values.assign(ntt.degree(), q - 1);
        if (kind == 2) values.assign(ntt.degree(), 0);
        const auto expected = values;
        ntt.forward(values);
        ntt.inverse(values);
        EXPECT_EQ(values, expected);
      }
    }
  }
}

TEST(Ntt, TakesLazyInputs) {
  std::mt19937_64 random(4);
  for (uint32_t q : {1073479681u, 8257537u}) {
    const NttTables& ntt = *NttTables::get(11, q).value();
    const auto reduced = random_residues(random, ntt.degree(), q);
    auto lazy = reduced;
    for (uint32_t& word : lazy) word += q * static_cast<uint32_t>(random() % 4);
    auto expected = reduced;
    ntt.forward(expected);
    ntt.forward(lazy);
    EXPECT_EQ(lazy, expected);
    lazy = expected = reduced;
    for (uint32_t& word : lazy) word += q * static_cast<uint32_t>(random() % 2);
    ntt.inverse(expected);
    ntt.inverse(lazy);
    EXPECT_EQ(lazy, expected);
  }
}

}  // namespace
}  // namespace bauta::ring
