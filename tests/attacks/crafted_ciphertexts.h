// Ciphertexts under a tenant's key that nobody encrypted: whoever sends to the key service can
// write down both halves himself, and what they decrypt to is then a linear form of the secret of
// his choice.
#pragma once

#include <cmath>
#include <random>

#include "match/admission.h"
#include "match/score_request.h"
#include "secret/secret_key.h"

namespace bauta {

class CraftedCiphertexts {
 public:
  // The key id is public: it stands in every switching key.
  CraftedCiphertexts(const match::Parameters& parameters, const ckks::KeyId& tenant)
      : parameters_(parameters), tenant_(tenant) {}

  using Coefficients = std::vector<int64_t>;

  ckks::CoefficientCiphertext make(size_t limbs, const Coefficients& c0, const Coefficients& c1,
                                   double scale) const {
    const ring::Basis basis = parameters_.ring().ciphertext_moduli().prefix(limbs);
    return {ring::from_signed(c0, basis), ring::from_signed(c1, basis), scale, tenant_};
  }
  // Adds weight * s[i] to what c1 shows in coefficient 0.
  static void show(Coefficients& c1, size_t i, int64_t weight) {
    (i == 0 ? c1[0] : c1[match::kDegree - i]) += i == 0 ? weight : -weight;
  }
  double norm_unit(match::TemplateKind kind) const {
    const double scale = scale_of(kind);
    return scale * scale / parameters_.ring().primes()[1];
  }
  // A template that is no more than a squared norm.
  std::string admission(match::TemplateKind kind, const Coefficients& c0,
                        const Coefficients& c1) const {
    const Coefficients zero(match::kDegree);
    match::Admission admission;
    admission.kind = kind;
    admission.stray = make(2, zero, zero, scale_of(kind));
    for (size_t i = 0; i < match::projection_ciphertexts(parameters_); ++i)
      admission.projections.push_back(make(1, zero, zero, scale_of(kind)));
    admission.squared_norm = make(1, c0, c1, scale_of(kind));
    return std::string(as_text(match::serialize_admission(parameters_, admission)));
  }
  std::string unit_probe() const {
    Coefficients one(match::kDegree);
    one[0] = std::llround(norm_unit(match::TemplateKind::probe));
    return admission(match::TemplateKind::probe, one, Coefficients(match::kDegree));
  }
  std::string serialize(std::vector<match::ScoreBlock> blocks) const {
    match::ScoreRequest scores{.key_id = tenant_, .blocks = std::move(blocks)};
    return std::string(as_text(match::serialize_score_request(parameters_, scores)));
  }

 private:
  double scale_of(match::TemplateKind kind) const {
    return kind == match::TemplateKind::probe ? parameters_.probe_scale()
                                              : parameters_.reference_scale();
  }

  const match::Parameters& parameters_;
  ckks::KeyId tenant_;
};

// What an attack ends with: each coefficient of the secret, read or guessed.
struct Recovery {
  std::vector<int> coefficients;
  size_t calls = 0;
  std::string end;  // why it was answered no more; empty: it was done

  size_t wrong(const secret::SecretKey& key) const {
    size_t count = 0;
    for (size_t i = 0; i < match::kDegree; ++i)
      count += coefficients[i] != key.coefficients().data()[i] ? 1 : 0;
    return count;
  }
};

// A coefficient is -1, 0 or 1, each a third of the time.
inline std::vector<int> guess_everything(uint64_t number = 1) {
  std::mt19937_64 random(number);
  std::vector<int> guesses(match::kDegree);
  for (int& guess : guesses) guess = static_cast<int>(random() % 3) - 1;
  return guesses;
}
inline constexpr double kGuessedWrong = match::kDegree * 2.0 / 3;
inline const double kGuessedWrongDeviation = std::sqrt(match::kDegree * 2.0 / 9);

}  // namespace bauta
