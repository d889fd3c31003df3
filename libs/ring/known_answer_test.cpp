// The test vectors of docs/formats/ntt.md and docs/formats/sampling.md, on every instruction set.
// They were made by another program, which evaluates polynomials by the definition and takes AES
// from a command.
#include <gtest/gtest.h>

#include "base/digest.h"
#include "ring/sampler.h"
#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

template <typename Values>
std::string digest_of(const Values& values) {
  return to_hex(sha256(ByteView(reinterpret_cast<const uint8_t*>(values.data()),
                                values.size() * sizeof(values.data()[0]))));
}

struct NttVector {
  size_t log_degree;
  uint32_t modulus, psi;
  std::vector<uint32_t> first;
  const char* digest;
};

TEST(KnownAnswers, Ntt) {
  const NttVector vectors[] = {
      {10,
       7340033,
       4941,
       {4114898, 6814683, 5817985, 6214204},
       "abb50e5d9b9aa94b9f2f05b1edc202e9a8adebbbf92ebc74b4722597c9672616"},
      {12,
       1073479681,
       769236,
       {960760799, 960287885, 144289967, 520906153},
       "e7f468d15b68524907be35ccf3424d9a2f57c3122e9901c28d62890fc06605b6"},
      {12,
       1071513601,
       143907,
       {907816135, 483448193, 889514007, 77867020},
       "a46a4cbd21154359770d79cd1ff51a1f28116dd98634f7d23b99d47b482a778d"},
      {12,
       8257537,
       2702,
       {135334, 3282060, 7785085, 3970013},
       "4409c8318e3664d892bfb599a390b02533c4d5fce9b3453bade7eee6b0eb88ba"},
      {12,
       7340033,
       772,
       {4217036, 421820, 132794, 6407443},
       "1480d51fc0cfa8fd818557056eb7408e0a6e1599e2cceaa64c6565b459c93452"},
      {15,
       1073479681,
       15589,
       {156251194, 449738474, 402541453, 726864455},
       "cd86c8fbddb3e77ce375586c937f822ebd3abbec7aa2bb00c5470dea0903cce5"},
      {16,
       1073479681,
       4051,
       {35180019, 1072493157, 710500402, 657408267},
       "681d04f2eb06d11fa9c5789b47a269b0636cd44da7f0ffbe1b6f48c96763a40d"},
  };
  for (const NttVector& vector : vectors) {
    const NttTables& ntt = *NttTables::get(vector.log_degree, vector.modulus).value();
    EXPECT_EQ(ntt.psi(), vector.psi);
    std::vector<uint32_t> coefficients(ntt.degree());
    for (size_t i = 0; i < coefficients.size(); ++i)
      coefficients[i] = ntt.modulus().reduce(i * i * i + 1);
    for (simd::Isa isa : simd::available_isas()) {
      auto values = coefficients;
      simd::kernels_for(isa)->ntt_forward(values.data(), ntt.constants());
      EXPECT_TRUE(std::equal(vector.first.begin(), vector.first.end(), values.begin()));
      EXPECT_EQ(digest_of(values), vector.digest) << simd::isa_name(isa);
      simd::kernels_for(isa)->ntt_inverse(values.data(), ntt.constants());
      EXPECT_EQ(values, coefficients) << simd::isa_name(isa);
    }
  }
}

PublicSeed counting_seed() {
  PublicSeed seed;
  for (size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<uint8_t>(i);
  return seed;
}

TEST(KnownAnswers, Keystream) {
  std::array<uint8_t, 32> bytes;
  Keystream(counting_seed(), "test", 7).read(bytes);
  EXPECT_EQ(to_hex(bytes), "92f457432af896b74441ed6ce6ab21b5490bdd9ee8a8493a913fc702bc99e4e9");
}

TEST(KnownAnswers, UniformResidues) {
  const auto polynomial =
      sample_uniform<Form::evaluation>(counting_seed(), "test", 7, gallery_basis());
  const char* digests[] = {"5e94e169fbae8767cec9653d3bbba0b3590ca9ca54b26a7e0171376ff1f60207",
                           "0f2a28e5b08aa273041cb169d1ec74ac54a75ad45b5f640c6014f7e91f6bd699",
                           "48a858ab084f01def5f79a46c7822ca317df9423f6e42775cca700d1be46fd56",
                           "451a795ba572226ce254ce1589bd7d2fad91917519b451903faa74330ea7380c"};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(digest_of(polynomial.limb(i)), digests[i]);
  EXPECT_EQ(polynomial.limb(0)[0], 481548274u);
  EXPECT_EQ(polynomial.limb(3)[3], 1367122u);
}

TEST(KnownAnswers, SmallSecrets) {
  const SecretSeed seed = SecretSeed::insecure_fixed(42).value();
  const SmallSecret ternary = sample_ternary(seed, "test", 7, 4096).value();
  EXPECT_EQ(digest_of(ternary), "2f39c21303aa28fe1cb70c65c50916854342b0a8e38c7138b9c433e2958535a4");
  const SmallSecret error = sample_error(seed, "test", 7, 4096).value();
  EXPECT_EQ(digest_of(error), "ec6027467e116212319137289694c003af5539759b4e6d52bd09c0f9777976d4");
}

}  // namespace
}  // namespace bauta::ring
