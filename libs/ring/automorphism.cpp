#include "ring/automorphism.h"

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

namespace bauta::ring {

// Value i of p(X^g) is p(psi^(g e)) with e the exponent of i. Let e = e_block + (N/8) k, where the
// sixteen values of a block share e_block < N/8 and k is the bit-reversed place in the block. Then
// g e = e' + (N/8) (g k + c) with e' < N/8 and c that depend on the block alone: c picks the
// pattern.
Automorphism::Automorphism(size_t log_degree, uint32_t g)
    : log_degree_(log_degree), g_(g), blocks_((size_t{1} << log_degree) / 16), patterns_(256) {
  const uint32_t stride = (1u << log_degree) / 8;
  const auto place = [&](uint32_t k) {
    return static_cast<uint32_t>(evaluation_index(log_degree, 1 + stride * (k % 16)) % 16);
  };
  for (uint32_t c = 0; c < 16; ++c)
    for (uint32_t k = 0; k < 16; ++k) patterns_[16 * c + place(k)] = place(g * k + c);
  for (size_t block = 0; block < blocks_.size(); ++block) {
    const uint32_t image = (g * evaluation_exponent(log_degree, 16 * block)) & (16 * stride - 1);
    const auto source = static_cast<uint32_t>(evaluation_index(log_degree, image % stride));
    blocks_[block] = (source & ~15u) | (image / stride);
  }
  permutation_ = {blocks_.size(), blocks_.data(), patterns_.data()};
}

const Automorphism& Automorphism::get(size_t log_degree, uint64_t g) {
  BAUTA_ASSERT(log_degree >= kMinLogDegree && log_degree <= kMaxLogDegree && g % 2 == 1);
  const auto reduced = static_cast<uint32_t>(g & ((uint64_t{2} << log_degree) - 1));
  const std::pair<size_t, uint32_t> key{log_degree, reduced};
  static std::shared_mutex mutex;
  static auto& tables =
      *new std::map<std::pair<size_t, uint32_t>, std::unique_ptr<const Automorphism>>;
  {
    std::shared_lock lock(mutex);
    if (const auto found = tables.find(key); found != tables.end()) return *found->second;
  }
  std::unique_lock lock(mutex);
  auto& entry = tables[key];
  if (entry == nullptr) entry.reset(new Automorphism(log_degree, reduced));
  return *entry;
}

void Automorphism::apply_evaluation(Limb out, ConstLimb in) const {
  BAUTA_ASSERT(out.size() == size_t{1} << log_degree_ && in.size() == out.size());
  simd::kernels().permute(out.data(), in.data(), permutation_);
}

void Automorphism::apply_coefficient(Limb out, ConstLimb in, const Modulus& modulus) const {
  const uint32_t degree = 1u << log_degree_;
  BAUTA_ASSERT(out.size() == degree && in.size() == degree);
  uint32_t place = 0;  // of X^(g i), modulo 2N
  for (uint32_t i = 0; i < degree; ++i) {
    out[place & (degree - 1)] = place < degree ? in[i] : modulus.negate(in[i]);
    place = (place + g_) & (2 * degree - 1);
  }
}

template <Form form>
RnsPolynomial<form> apply_automorphism(const RnsPolynomial<form>& polynomial, uint64_t g) {
  const Automorphism& automorphism = Automorphism::get(polynomial.basis().log_degree(), g);
  auto image = RnsPolynomial<form>::uninitialised(polynomial.basis());
  for (size_t i = 0; i < image.limb_count(); ++i) {
    if constexpr (form == Form::evaluation)
      automorphism.apply_evaluation(image.limb(i), polynomial.limb(i));
    else
      automorphism.apply_coefficient(image.limb(i), polynomial.limb(i),
                                     polynomial.basis().modulus(i));
  }
  return image;
}

template CoefficientPolynomial apply_automorphism(const CoefficientPolynomial&, uint64_t);
template EvaluationPolynomial apply_automorphism(const EvaluationPolynomial&, uint64_t);

}  // namespace bauta::ring
