#include "ring/basis.h"

#include <gtest/gtest.h>

#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

TEST(Basis, RefusesBadDegreesAndModuli) {
  const std::vector<uint32_t> none;
  EXPECT_FALSE(Basis::create(9, none).ok());
  EXPECT_FALSE(Basis::create(17, none).ok());
  EXPECT_TRUE(Basis::create(12, none).ok());
  EXPECT_FALSE(Basis::create(12, std::vector<uint32_t>{1073479681, 1073479681}).ok());
  EXPECT_FALSE(Basis::create(12, std::vector<uint32_t>{1073479680}).ok());
}

TEST(Basis, PrefixesSlicesAndJoinsKeepTheOrder) {
  const Basis basis = gallery_basis();
  EXPECT_EQ(basis.degree(), 4096u);
  EXPECT_EQ(basis.prefix(2).moduli(), (std::vector<uint32_t>{1073479681, 1071513601}));
  EXPECT_EQ(basis.slice(2, 2).moduli(), (std::vector<uint32_t>{8257537, 7340033}));
  EXPECT_EQ(basis.prefix(2).joined(basis.slice(2, 2)), basis);
  EXPECT_EQ(basis.slice(1, 3).slice(1, 1).moduli(), (std::vector<uint32_t>{8257537}));
  EXPECT_TRUE(basis.starts_with(basis.prefix(1)));
  EXPECT_FALSE(basis.prefix(1).starts_with(basis));
  EXPECT_FALSE(basis.starts_with(basis.slice(1, 1)));
  EXPECT_FALSE(Basis::create(13, kGalleryModuli).value() == basis);
}

TEST(Basis, GalleryModulusFitsTheSecurityTable) {
  EXPECT_NEAR(gallery_basis().log2_modulus(), 105.8, 0.05);
}

}  // namespace
}  // namespace bauta::ring
