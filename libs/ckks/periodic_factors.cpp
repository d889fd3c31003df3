#include "ckks/periodic_factors.h"

#include <algorithm>
#include <bit>

#include "ring/limb_loop.h"

namespace bauta::ckks {
namespace {

// Evaluates polynomials in X^(N/n) modulo one prime at one root of every block of N/n values.
class SubringTransform {
 public:
  SubringTransform(size_t log_degree, size_t subring_degree, const ring::NttTables& large)
      : spread_(std::max(subring_degree, size_t{1} << ring::kMinLogDegree) / subring_degree),
        log_small_(static_cast<size_t>(std::countr_zero(subring_degree * spread_))),
        small_(**ring::NttTables::get(log_small_, large.modulus().value())) {
    const size_t small_degree = subring_degree * spread_;
    const uint32_t root = large.modulus().power(
        large.psi(), (size_t{1} << log_degree) / small_degree);  // of order 2 * small_degree
    // root = psi^logarithm for the psi of the small transform.
    const uint32_t square = large.modulus().multiply(small_.psi(), small_.psi());
    uint32_t power = small_.psi();
    uint32_t logarithm = 1;
    for (; power != root; logarithm += 2) power = large.modulus().multiply(power, square);
    const size_t block_size = (size_t{1} << log_degree) / subring_degree;
    for (size_t block = 0; block < subring_degree; ++block)
      places_.push_back(ring::evaluation_index(
          log_small_, ring::evaluation_exponent(log_degree, block * block_size) * logarithm));
  }

  // coefficients: of X^(i N/n), for i < n.
  void apply(std::span<const int64_t> coefficients, std::span<uint32_t> values) const {
    ring::WordStorage words(small_.degree());
    const ring::Limb limb(words.data(), words.size());
    std::ranges::fill(limb, 0);
    for (size_t i = 0; i < coefficients.size(); ++i)
      limb[i * spread_] = small_.modulus().reduce_signed(coefficients[i]);
    small_.forward(limb);
    for (size_t block = 0; block < places_.size(); ++block) values[block] = limb[places_[block]];
  }

 private:
  size_t spread_;  // the small transform has a least degree of its own
  size_t log_small_;
  const ring::NttTables& small_;
  std::vector<size_t> places_;  // of the block's value in the small transform
};

}  // namespace

Result<PeriodicFactors> encode_periodic(std::span<const std::vector<double>> values, size_t outputs,
                                        double scale, const ring::Basis& basis, ThreadPool* pool) {
  BAUTA_ASSERT(outputs > 0 && !values.empty() && values.size() % outputs == 0);
  const size_t period = values[0].size();
  const size_t blocks = 2 * period;
  BAUTA_ASSERT(std::has_single_bit(period) && period >= 2 && 32 * period <= basis.degree());
  const Encoder encoder(blocks);
  std::vector<Message> messages;
  for (const std::vector<double>& factor : values) {
    BAUTA_ASSERT(factor.size() == period);
    BAUTA_TRY(Message message, encoder.encode(factor, scale));
    messages.push_back(std::move(message));
  }
  PeriodicFactors factors{outputs, values.size() / outputs, period, scale, basis, {}};
  factors.words.resize(basis.size() * blocks * values.size());
  ring::for_each_limb(basis.size(), pool, [&](size_t j) {
    const SubringTransform transform(basis.log_degree(), blocks, basis.ntt(j));
    // Sixteen factors at a time, a cache line of every block.
    constexpr size_t kTogether = 16;
    std::vector<uint32_t> evaluated(kTogether * blocks);
    uint32_t* const words = factors.words.data() + j * blocks * messages.size();
    for (size_t begin = 0; begin < messages.size(); begin += kTogether) {
      const size_t count = std::min(kTogether, messages.size() - begin);
      for (size_t i = 0; i < count; ++i)
        transform.apply(messages[begin + i].coefficients,
                        std::span(evaluated).subspan(i * blocks, blocks));
      for (size_t block = 0; block < blocks; ++block)
        for (size_t i = 0; i < count; ++i)
          words[block * messages.size() + begin + i] = evaluated[i * blocks + block];
    }
  });
  return factors;
}

}  // namespace bauta::ckks
