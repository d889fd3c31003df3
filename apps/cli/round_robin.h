// The method that this system is compared with: one template per ciphertext, in slots, and for each
// reference the squared difference, summed by rotations ("round robin" in the FRIP paper, which
// uses TenSEAL). On our own arithmetic, in the smallest ring that it fits, so that the comparison
// is one of methods.
#pragma once

#include <span>

#include "ckks/evaluator.h"
#include "match/local_tenant.h"

namespace bauta::cli {

class RoundRobin {
 public:
  // Errors: those of key generation.
  static Result<RoundRobin> create(const match::LocalTenant& tenant);

  Result<ckks::EvaluationCiphertext> encrypt(std::span<const float> embedding) const;
  // Squared Euclidean distance, in every slot: a square, a relinearisation, a rescaling, log2(r)
  // rotations.
  ckks::EvaluationCiphertext distance(const ckks::EvaluationCiphertext& probe,
                                      const ckks::EvaluationCiphertext& reference) const;
  Result<double> decrypt(ckks::EvaluationCiphertext&& distance) const;

 private:
  RoundRobin(const match::LocalTenant& tenant, std::shared_ptr<const ckks::KeySet> keys)
      : tenant_(tenant),
        evaluator_(std::make_unique<ckks::Evaluator>(tenant.parameters.ring(), std::move(keys))) {}

  const match::LocalTenant& tenant_;
  std::unique_ptr<ckks::Evaluator> evaluator_;
};

}  // namespace bauta::cli
