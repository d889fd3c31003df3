// What the key service can compute from the ciphertexts that it is sent, beyond the scores.
//
// It holds the secret key, so it sees every coefficient of every decrypted product. The attacker
// below also knows the probes, as one who colludes with an edge does, and solves for the template.
// Without the masks it succeeds; with them it knows no more than a handful of scores tells.
#include <gtest/gtest.h>

#include "match/search.h"
#include "match/test_tenant.h"

namespace bauta::match {
namespace {

constexpr size_t kDimension = 128;

const TestTenant& tenant() {
  static const TestTenant one(kDimension, 8);
  return one;
}

// A linear equation in the entries of the template.
struct Equation {
  std::vector<double> factors;
  double value;
};

// Coefficient stride*lag of qbar(Y) * k(Y): the inner product at lag 0, a correlation of both else.
std::vector<double> correlation_factors(const Embedding& probe, size_t lag) {
  std::vector<double> factors(kDimension);
  for (size_t i = 0; i < kDimension; ++i)  // q_j stands at -j
    factors[i] = i >= lag ? probe[i - lag] : -probe[i + kDimension - lag];
  return factors;
}

// The template that fits the equations best; a trace of ridge keeps too few of them solvable.
Embedding solve(const std::vector<Equation>& equations) {
  std::vector<std::vector<double>> rows(kDimension, std::vector<double>(kDimension + 1));
  for (size_t i = 0; i < kDimension; ++i) rows[i][i] = 1e-9;
  for (const Equation& equation : equations)
    for (size_t i = 0; i < kDimension; ++i) {
      for (size_t j = 0; j < kDimension; ++j)
        rows[i][j] += equation.factors[i] * equation.factors[j];
      rows[i][kDimension] += equation.factors[i] * equation.value;
    }
  for (size_t pivot = 0; pivot < kDimension; ++pivot) {
    for (size_t i = pivot + 1; i < kDimension; ++i)
      if (std::abs(rows[i][pivot]) > std::abs(rows[pivot][pivot])) std::swap(rows[i], rows[pivot]);
    for (size_t i = 0; i < kDimension; ++i) {
      if (i == pivot) continue;
      const double factor = rows[i][pivot] / rows[pivot][pivot];
      for (size_t j = pivot; j <= kDimension; ++j) rows[i][j] -= factor * rows[pivot][j];
    }
  }
  Embedding solution(kDimension);
  for (size_t i = 0; i < kDimension; ++i)
    solution[i] = static_cast<float>(rows[i][kDimension] / rows[i][i]);
  return solution;
}

double cosine(const Embedding& a, const Embedding& b) {
  return People::inner_product(a, b) / std::sqrt(double{People::inner_product(a, a)}) /
         std::sqrt(double{People::inner_product(b, b)});
}

// A decrypted block as numbers in units of scores, turned back so that the live coefficient of the
// wanted reference comes to its own place. offset: what was added to the scores.
std::vector<double> decrypted_scores(const ckks::CoefficientCiphertext& ciphertext, size_t position,
                                     size_t seen_at, double offset) {
  const std::vector<uint32_t> residues = must(tenant().LocalTenant::decrypt(ciphertext));
  const double q = tenant().parameters.ring().primes()[0];
  // Live values are positive before the rotation: the one at hand tells its sign.
  const double sign = residues[seen_at] < q / 2 ? 1 : -1;
  std::vector<double> scores(kDegree);
  for (size_t j = 0; j < kDegree; ++j) {
    const size_t seen = (j + kDegree - position + seen_at) % kDegree;
    const bool wrapped = (j < position) != (seen < seen_at);
    double value = residues[seen];
    if (value > q / 2) value -= q;
    scores[j] = sign * (wrapped ? -value : value) / tenant().parameters.score_scale();
  }
  scores[position] -= offset;
  return scores;
}

// Adds what one decrypted block says of the reference at `position`: its score and, `step` lags
// apart, its correlations.
void add_equations(std::vector<Equation>& equations, const std::vector<double>& scores,
                   size_t position, const Embedding& probe, size_t step) {
  for (size_t lag = 0; lag < kDimension; lag += step) {
    const size_t exponent = position + tenant().parameters.stride() * lag;
    const double value = exponent < kDegree ? scores[exponent] : -scores[exponent - kDegree];
    equations.push_back({correlation_factors(probe, lag), value});
  }
}

// Where in the request's only block the reference of a slot stands.
uint32_t position_of(const Search& search, uint64_t slot) {
  for (uint32_t j = 0; j < kDegree; ++j)
    if (is_live(search.request.blocks[0].live, j) && must(search.map.slot({0, j})) == slot)
      return j;
  BAUTA_ASSERT(false);
  return 0;
}

// The unmasked product of a block, which never leaves the server.
ckks::CoefficientCiphertext unmasked(const Embedding& probe, const Block& block) {
  const ProbeImages images =
      must(make_probe_images(*tenant().keys, tenant().probe(probe), block.folding()));
  const ProbeImages* const images_pointer = &images;
  const TiledCiphertexts* const block_pointer = &block.images();
  auto products =
      scan(std::span(&images_pointer, 1), std::span(&block_pointer, 1),
           tenant().parameters.ring().ciphertext_moduli(), tenant().parameters.reference_scale());
  return reduce_product(*tenant().keys, std::move(products[0]), block.folding());
}

// The inner product is a score the attacker is meant to see; so many random directions out of 128
// explain a cosine of sqrt(probes / 128), here below 0.25.
constexpr double kRecovered = 0.999, kUnknown = 0.6;

TEST(Leak, OneToOneTellsTheScoreAlone) {
  People people(kDimension);
  const Embedding person = people.next(), probe = people.next();
  const StoredReference reference = tenant().reference(person);
  Block block(tenant().parameters, 1);
  block.add(0, reference.ciphertext);
  must(block.prepare(*tenant().keys));

  // A single unmasked product is the template: 128 equations for 128 entries.
  std::vector<Equation> naked;
  const auto product = unmasked(probe, block);
  add_equations(naked, decrypted_scores(product, 0, 0, 0), 0, probe, 1);
  // The score itself may be negative; a wrong sign turns the solution around.
  EXPECT_GT(std::abs(cosine(solve(naked), person)), kRecovered);

  const Search search = must(compare_one(*tenant().keys, tenant().probe(probe), 0, reference));
  const uint32_t seen_at = position_of(search, 0);
  const auto scores =
      decrypted_scores(search.request.blocks[0].ciphertext, 0, seen_at, kScoreOffset);
  EXPECT_NEAR(scores[0], People::inner_product(probe, person), 7e-5);
  std::vector<Equation> masked;
  add_equations(masked, scores, 0, probe, 1);
  EXPECT_LT(std::abs(cosine(solve(masked), person)), kUnknown);
}

TEST(Leak, FoldingTellsTheScoresAlone) {
  constexpr size_t kReferences = 120, kWanted = 7;
  People people(kDimension);
  Gallery gallery(tenant().keys, no_original);
  gallery.reserve(kReferences);
  Embedding person;
  for (size_t slot = 0; slot < kReferences; ++slot) {
    const Embedding enrolled = people.next();
    if (slot == kWanted) person = enrolled;
    must(gallery.insert(slot, tenant().reference(enrolled)));
  }
  must(gallery.prepare());
  const Block& block = gallery.block(0);
  ASSERT_EQ(block.folding(), 4u);
  // Every probe gives 32 correlations at lags 0, 4, 8, ...; six probes are enough for 128 entries.
  std::vector<Equation> naked, masked;
  for (int i = 0; i < 6; ++i) {
    const Embedding probe = people.next_near(person, 0.05f);
    add_equations(naked, decrypted_scores(unmasked(probe, block), kWanted, kWanted, 0), kWanted,
                  probe, block.folding());
    const Search search = must(gallery.search(tenant().probe(probe)));
    const auto scores = decrypted_scores(search.request.blocks[0].ciphertext, kWanted,
                                         position_of(search, kWanted), kScoreOffset);
    EXPECT_NEAR(scores[kWanted], People::inner_product(probe, person), 7e-5);
    add_equations(masked, scores, kWanted, probe, block.folding());
  }
  EXPECT_GT(cosine(solve(naked), person), kRecovered);
  EXPECT_LT(std::abs(cosine(solve(masked), person)), kUnknown);
}

// What is not a score is uniform: its bits are fair, and the same search gives others.
TEST(Leak, MaskedCoefficientsAreUniform) {
  People people(kDimension);
  const StoredReference reference = tenant().reference(people.next());
  const Embedding probe = people.next();
  const uint32_t q = tenant().parameters.ring().primes()[0];
  constexpr size_t kBins = 64;
  std::vector<double> bins(kBins);
  size_t values = 0;
  for (int run = 0; run < 16; ++run) {
    const Search search = must(compare_one(*tenant().keys, tenant().probe(probe), 0, reference));
    const std::vector<uint32_t> residues = tenant().decrypt(search.request.blocks[0]);
    for (size_t j = 0; j < kDegree; ++j) {
      if (is_live(search.request.blocks[0].live, j)) continue;
      bins[uint64_t{residues[j]} * kBins / q] += 1;
      ++values;
    }
  }
  double chi_squared = 0;
  const double expected = static_cast<double>(values) / kBins;
  for (const double bin : bins) chi_squared += (bin - expected) * (bin - expected) / expected;
  // 63 degrees of freedom: beyond 140 once in ten million runs.
  EXPECT_LT(chi_squared, 140);
}

}  // namespace
}  // namespace bauta::match
