// Every kernel gives the same words with every instruction set.
#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "ring/ntt.h"

namespace bauta {
namespace {

using ring::Modulus;
using simd::Isa;
using simd::Kernels;
using simd::ModulusConstants;
using Words = std::vector<uint32_t>;

// Takes the input apart; past its end come pseudo-random numbers that depend on all of it.
class Feed {
 public:
  Feed(const uint8_t* input, size_t size_bytes) : input_(input), left_(size_bytes) {
    for (size_t i = 0; i < size_bytes; ++i) state_ = (state_ ^ input[i]) * 0x100000001b3;
  }

  uint32_t word() {
    if (left_ >= sizeof(uint32_t)) {
      uint32_t value = 0;
      std::memcpy(&value, input_, sizeof value);
      input_ += sizeof value;
      left_ -= sizeof value;
      return value;
    }
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 32);
  }
  uint32_t below(uint64_t bound) { return static_cast<uint32_t>(word() % bound); }

  // One in eight at either end of the range.
  Words words(size_t count, uint64_t bound) {
    Words values(count);
    for (uint32_t& value : values) {
      const uint32_t drawn = word();
      const uint32_t kind = drawn >> 28;
      value = static_cast<uint32_t>(kind == 0 ? 0 : kind == 1 ? bound - 1 : drawn % bound);
    }
    return values;
  }

 private:
  const uint8_t* input_;
  size_t left_;
  uint64_t state_ = 0xcbf29ce484222325;
};

Modulus any_modulus(Feed& feed) {
  constexpr uint32_t kModuli[] = {3,       5,         257,        65537,      7340033,
                                  8257537, 536903681, 1071513601, 1073479681, 1073741789};
  return Modulus::create(kModuli[feed.below(std::size(kModuli))]).value();
}

const ring::NttTables& any_tables(Feed& feed) {
  constexpr uint32_t kModuli[] = {7340033, 8257537, 1071513601, 1073479681};
  // Mostly small degrees: they have every kind of pass.
  const size_t log_degree = ring::kMinLogDegree + feed.below(16) % 5;
  return *ring::NttTables::get(log_degree, kModuli[feed.below(std::size(kModuli))]).value();
}

// run(kernels, out) with every instruction set, out being `count` words.
void expect_agreement(const char* kernel, size_t count,
                      const std::function<void(const Kernels&, uint32_t*)>& run) {
  Words expected(count);
  run(*simd::kernels_for(Isa::scalar), expected.data());
  for (Isa isa : simd::available_isas()) {
    Words out(count);
    run(*simd::kernels_for(isa), out.data());
    if (out == expected) continue;
    fmt::print(stderr, "{} of {} differs from scalar\n", kernel, simd::isa_name(isa));
    std::abort();
  }
}

void check_transforms(Feed& feed) {
  const ring::NttTables& ntt = any_tables(feed);
  const uint64_t q = ntt.modulus().value();
  const Words coefficients = feed.words(ntt.degree(), 4 * q);
  const Words values = feed.words(ntt.degree(), 2 * q);
  expect_agreement("ntt_forward", ntt.degree(), [&](const Kernels& kernels, uint32_t* out) {
    std::copy(coefficients.begin(), coefficients.end(), out);
    kernels.ntt_forward(out, ntt.constants());
  });
  expect_agreement("ntt_inverse", ntt.degree(), [&](const Kernels& kernels, uint32_t* out) {
    std::copy(values.begin(), values.end(), out);
    kernels.ntt_inverse(out, ntt.constants());
  });
}

void check_word_kernels(Feed& feed) {
  const Modulus q = any_modulus(feed);
  const Modulus p = any_modulus(feed);
  const size_t count = 16 * (1 + feed.below(12));
  const Words a = feed.words(count, q.value()), b = feed.words(count, q.value());
  const Words lifted = feed.words(count, p.value());
  const Words any = feed.words(count, uint64_t{1} << 32);
  const simd::ShoupFactor factor = q.shoup(feed.below(q.value()));
  const ModulusConstants& modulus = q.constants();
  const auto expect = [&](const char* kernel, const auto& run) {
    expect_agreement(kernel, count, run);
  };
  expect("add", [&](const Kernels& kernels, uint32_t* out) {
    kernels.add(out, a.data(), b.data(), count, modulus);
  });
  expect("subtract", [&](const Kernels& kernels, uint32_t* out) {
    kernels.subtract(out, a.data(), b.data(), count, modulus);
  });
  expect("negate", [&](const Kernels& kernels, uint32_t* out) {
    kernels.negate(out, a.data(), count, modulus);
  });
  expect("multiply", [&](const Kernels& kernels, uint32_t* out) {
    kernels.multiply(out, a.data(), b.data(), count, modulus);
  });
  expect("multiply_add", [&](const Kernels& kernels, uint32_t* out) {
    std::copy(a.begin(), a.end(), out);
    kernels.multiply_add(out, a.data(), b.data(), count, modulus);
  });
  expect("multiply_constant", [&](const Kernels& kernels, uint32_t* out) {
    kernels.multiply_constant(out, any.data(), factor, count, modulus);
  });
  expect("subtract_multiply_constant", [&](const Kernels& kernels, uint32_t* out) {
    kernels.subtract_multiply_constant(out, a.data(), b.data(), factor, count, modulus);
  });
  std::vector<int64_t> integers(count);
  for (int64_t& integer : integers)
    integer = static_cast<int64_t>(uint64_t{feed.word()} << 32 | feed.word()) >> feed.below(64);
  expect("add_signed", [&](const Kernels& kernels, uint32_t* out) {
    std::copy(a.begin(), a.end(), out);
    kernels.add_signed(out, integers.data(), count, modulus);
  });
  expect("lift_centred", [&](const Kernels& kernels, uint32_t* out) {
    kernels.lift_centred(out, lifted.data(), p.constants(), count, modulus);
  });
  expect_agreement("accept_below", count + 1, [&](const Kernels& kernels, uint32_t* out) {
    const size_t accepted = kernels.accept_below(out, any.data(), count, modulus);
    out[count] = static_cast<uint32_t>(accepted);
    std::fill(out + accepted, out + count, 0u);  // beyond the accepted ones anything may stand
  });
}

void check_sums(Feed& feed) {
  const Modulus q = any_modulus(feed);
  const size_t count = 16 * (1 + feed.below(5));
  const size_t terms = 1 + feed.below(40);
  std::vector<Words> a, b, c;
  std::vector<const uint32_t*> pa, pb, pc;
  std::vector<Modulus> moduli;
  std::vector<const ModulusConstants*> constants;
  for (size_t t = 0; t < terms; ++t) moduli.push_back(any_modulus(feed));
  for (size_t t = 0; t < terms; ++t) {
    a.push_back(feed.words(count, moduli[t].value()));
    b.push_back(feed.words(count, q.value()));
    c.push_back(feed.words(count, q.value()));
    pa.push_back(a[t].data()), pb.push_back(b[t].data()), pc.push_back(c[t].data());
    constants.push_back(&moduli[t].constants());
  }
  const Words weights = feed.words(terms, q.value());
  expect_agreement("inner_product", count, [&](const Kernels& kernels, uint32_t* out) {
    kernels.inner_product(out, pa.data(), pb.data(), terms, count, q.constants());
  });
  expect_agreement("inner_product_pair", 2 * count, [&](const Kernels& kernels, uint32_t* out) {
    kernels.inner_product_pair(out, out + count, pa.data(), pb.data(), pc.data(), terms, count,
                               q.constants());
  });
  const size_t tile_words = 2 * terms * simd::kTileWords;
  const Words probe = feed.words(tile_words, q.value());
  const Words block = feed.words(tile_words, q.value());
  expect_agreement("tensor_tile", 3 * simd::kTileWords, [&](const Kernels& kernels, uint32_t* out) {
    kernels.tensor_tile(out, probe.data(), block.data(), block.data(), terms, q.constants());
  });
  expect_agreement("plain_tile", 2 * simd::kTileWords, [&](const Kernels& kernels, uint32_t* out) {
    kernels.plain_tile(out, probe.data(), block.data(), block.data(), terms, q.constants());
  });
  expect_agreement("weighted_sum", count, [&](const Kernels& kernels, uint32_t* out) {
    kernels.weighted_sum(out, pa.data(), weights.data(), terms, count, q.constants());
  });
  const size_t outputs = 1 + feed.below(5);
  const Words matrix = feed.words(outputs * terms, q.value());
  expect_agreement("weighted_sums", outputs * count, [&](const Kernels& kernels, uint32_t* out) {
    std::vector<uint32_t*> rows;
    for (size_t k = 0; k < outputs; ++k) rows.push_back(out + k * count);
    kernels.weighted_sums(rows.data(), pa.data(), matrix.data(), outputs, terms, count,
                          q.constants());
  });
  expect_agreement("rounded_quotient", count, [&](const Kernels& kernels, uint32_t* out) {
    kernels.rounded_quotient(out, pa.data(), constants.data(), terms, count);
  });
}

void check_permutation(Feed& feed) {
  const size_t blocks = 1 + feed.below(64);
  Words sources(blocks), patterns(256);
  for (uint32_t& source : sources) source = 16 * feed.below(blocks) + feed.below(16);
  for (size_t c = 0; c < 16; ++c) {
    const uint32_t flip = feed.below(16), step = 2 * feed.below(4) + 1;
    for (uint32_t j = 0; j < 16; ++j) patterns[16 * c + j] = ((j & 8) | ((step * j) & 7)) ^ flip;
  }
  const Words in = feed.words(16 * blocks, uint64_t{1} << 32);
  expect_agreement("permute", in.size(), [&](const Kernels& kernels, uint32_t* out) {
    kernels.permute(out, in.data(), {blocks, sources.data(), patterns.data()});
  });
}

}  // namespace
}  // namespace bauta

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size_bytes) {
  bauta::Feed feed(input, size_bytes);
  switch (feed.word() % 4) {
    case 0:
      bauta::check_transforms(feed);
      break;
    case 1:
      bauta::check_word_kernels(feed);
      break;
    case 2:
      bauta::check_sums(feed);
      break;
    case 3:
      bauta::check_permutation(feed);
      break;
  }
  return 0;
}
