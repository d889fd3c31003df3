#include "ckks/encoder.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/random.h"
#include "ckks/test_parameters.h"

namespace bauta::ckks {
namespace {

std::vector<Complex> ramp() {
  std::vector<Complex> slots;
  for (int j = 0; j < 512; ++j) slots.emplace_back(j / 512.0, j / 256.0 - 1);
  return slots;
}

std::vector<double> centred(const ring::CoefficientPolynomial& polynomial) {
  std::vector<ring::ConstLimb> limbs;
  for (size_t i = 0; i < polynomial.limb_count(); ++i) limbs.push_back(polynomial.limb(i));
  return centred_values(limbs, polynomial.basis());
}

// docs/formats/encoding.md
TEST(Encoder, KnownAnswers) {
  const Encoder encoder(1024);
  const Message one = *encoder.encode(std::vector<double>{1}, 0x1p30);
  const std::vector<int64_t> expected_one = {2097152, 2097142, 2097113, 2097063, 2096994, 2096905};
  EXPECT_TRUE(std::equal(expected_one.begin(), expected_one.end(), one.coefficients.begin()));
  const Message message = *encoder.encode(ramp(), 0x1p30);
  const std::vector<int64_t> expected = {535822336, 16464512, -8381733,
                                         28579794,  5521501,  18574522};
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), message.coefficients.begin()));
  ByteWriter writer;
  for (const int64_t coefficient : message.coefficients)
    writer.u64(static_cast<uint64_t>(coefficient));
  EXPECT_EQ(to_hex(sha256(writer.bytes())),
            "aef76e6ebfe658751cf4dbe6bc97321ab7aa860c9b67430d407b9c97add2120b");
}

TEST(Encoder, DecodesWhatItEncoded) {
  const Encoder encoder(1024);
  const ring::Basis basis = insecure_parameters(1024, 4, 1).ciphertext_moduli();
  for (const double scale : {0x1p20, 0x1p30, 0x1p55}) {
    const Plaintext plaintext = make_plaintext(*encoder.encode(ramp(), scale), basis);
    const auto coefficients = to_coefficient(plaintext.polynomial.clone());
    const std::vector<Complex> slots = encoder.decode(centred(coefficients), plaintext.scale);
    for (size_t j = 0; j < slots.size(); ++j)
      ASSERT_NEAR(std::abs(slots[j] - ramp()[j]), 0, 40 / scale + 1e-13) << scale;
  }
}

TEST(Encoder, PutsCoefficientsWhereTheyStand) {
  const Encoder encoder(1024);
  const Message message = *encoder.encode_coefficients(std::vector<double>{0.5, -0.25, 2.5}, 2);
  EXPECT_EQ(message.coefficients[0], 1);
  EXPECT_EQ(message.coefficients[1], 0);  // halves to even
  EXPECT_EQ(message.coefficients[2], 5);
  EXPECT_EQ(message.coefficients[3], 0);
}

// Any signed number below half the modulus, whatever the number of limbs.
TEST(CentredValues, AreExactForNumbersOfDoublePrecision) {
  for (const size_t limbs : {1, 2, 3, 9}) {
    const ring::Basis basis = insecure_parameters(1024, 9, 1).ciphertext_moduli().prefix(limbs);
    const int bits = limbs == 1 ? 28 : 53;
    std::vector<int64_t> integers(1024);
    for (int64_t& integer : integers)
      integer =
          static_cast<int64_t>(random_below(uint64_t{1} << bits)) - (int64_t{1} << (bits - 1));
    const std::vector<double> values = centred(ring::from_signed(integers, basis));
    for (size_t i = 0; i < integers.size(); ++i)
      ASSERT_EQ(values[i], static_cast<double>(integers[i]));
  }
}

}  // namespace
}  // namespace bauta::ckks
