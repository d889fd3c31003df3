#include "apps/cli/round_robin.h"

namespace bauta::cli {
namespace {

// Squared differences of unit vectors are at most 4, so that their products stay below half of Q.
constexpr double kScale = 0x1p28;

}  // namespace

Result<RoundRobin> RoundRobin::create(const match::LocalTenant& tenant) {
  const ckks::KeySwitchShape shape = match::key_shape(tenant.parameters);
  BAUTA_TRY(ckks::KeySet keys, ckks::KeySet::create(tenant.tenant.id(), std::span(&shape, 1)));
  BAUTA_TRY(ckks::RelinearizationKey relinearization,
            secret::generate_relinearization_key(tenant.tenant, shape));
  BAUTA_CHECK(keys.add(std::move(relinearization)));
  for (size_t step = 1; step < tenant.parameters.width(); step *= 2) {
    const uint32_t element = ckks::rotation_element(static_cast<int64_t>(step), match::kDegree);
    BAUTA_TRY(ckks::GaloisKey rotation, secret::generate_galois_key(tenant.tenant, element, shape));
    BAUTA_CHECK(keys.add(std::move(rotation)));
  }
  return RoundRobin(tenant, std::make_shared<const ckks::KeySet>(std::move(keys)));
}

Result<ckks::EvaluationCiphertext> RoundRobin::encrypt(std::span<const float> embedding) const {
  // Repeated over all slots, so that a sum over r neighbours is the same in each.
  const size_t width = tenant_.parameters.width();
  std::vector<double> slots(match::kDegree / 2);
  for (size_t j = 0; j < slots.size(); ++j)
    if (j % width < embedding.size()) slots[j] = embedding[j % width];
  BAUTA_TRY(const ckks::Message message,
            ckks::Encoder(match::kDegree).encode(std::span<const double>(slots), kScale));
  BAUTA_TRY(const ckks::SeededCiphertext seeded,
            secret::encrypt(tenant_.tenant, message, match::kLimbs));
  return to_evaluation(expand(seeded));
}

ckks::EvaluationCiphertext RoundRobin::distance(const ckks::EvaluationCiphertext& probe,
                                                const ckks::EvaluationCiphertext& reference) const {
  ckks::EvaluationCiphertext difference = probe.clone();
  evaluator_->subtract_in_place(difference, reference);
  ckks::EvaluationCiphertext sum = evaluator_->relinearize(evaluator_->square(difference));
  evaluator_->rescale_in_place(sum);
  for (size_t step = 1; step < tenant_.parameters.width(); step *= 2)
    evaluator_->add_in_place(sum, evaluator_->rotate(sum, static_cast<int64_t>(step)));
  return sum;
}

Result<double> RoundRobin::decrypt(ckks::EvaluationCiphertext&& distance) const {
  const double scale = distance.scale;
  BAUTA_TRY(const ring::SecretCoefficients residues,
            secret::decrypt(tenant_.tenant, to_coefficient(std::move(distance))));
  std::vector<ring::ConstLimb> limbs;
  for (size_t i = 0; i < residues.limb_count(); ++i) limbs.push_back(residues.limb(i));
  const ring::Basis basis = tenant_.parameters.ring().ciphertext_moduli().prefix(limbs.size());
  return ckks::Encoder(match::kDegree).decode(ckks::centred_values(limbs, basis), scale)[0].real();
}

}  // namespace bauta::cli
