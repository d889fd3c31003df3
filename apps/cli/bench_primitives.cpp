// `bauta bench primitives`: how long each operation of the encrypted arithmetic takes.
#include <algorithm>
#include <chrono>
#include <complex>
#include <memory>

#include "apps/cli/arguments.h"
#include "ckks/evaluator.h"
#include "ring/primes.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"
#include "simd/kernels.h"

namespace bauta::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Parameters of one row group: within the security table, with log2(Q) near what others publish.
struct RingSize {
  size_t degree;
  size_t limbs;          // two base primes of 30 bits, the others of 29
  size_t special_limbs;  // of 30 bits
  size_t digit_limbs;
};
constexpr RingSize kRingSizes[] = {
    {4096, 2, 1, 1}, {16384, 9, 5, 5}, {32768, 21, 7, 7}, {65536, 40, 14, 14}};

Result<ckks::Parameters> make_parameters(const RingSize& size) {
  BAUTA_TRY(const auto large, ring::primes_below(1u << 30, 2 + size.special_limbs));
  BAUTA_TRY(const auto levels, ring::primes_near(1u << 29, size.limbs - 2));
  ckks::ParametersLiteral literal{.degree = size.degree,
                                  .primes = {large[0], large[1]},
                                  .special_primes = {large.begin() + 2, large.end()}};
  literal.primes.insert(literal.primes.end(), levels.begin(), levels.end());
  return ckks::Parameters::create(literal);
}

// One measured operation and what it worked on.
struct Shape {
  size_t limbs = 0, special_limbs = 0, digits = 0;
};

class PrimitivesBench {
 public:
  PrimitivesBench(const ckks::Parameters& parameters, const secret::SecretKey& key,
                  const RingSize& size, ThreadPool* pool, Json& rows)
      : parameters_(parameters), key_(key), size_(size), pool_(pool), rows_(rows) {}

  Status run() {
    ntt();
    BAUTA_CHECK(encoding_and_encryption());
    return evaluation();
  }

 private:
  // Runs `work` on a fresh `prepare()` each time, only the work being timed.
  template <typename Prepare, typename Work>
  void measure(const char* op, const Shape& shape, Prepare prepare, Work work) {
    constexpr size_t kMinRuns = 9, kMaxRuns = 1000;
    constexpr std::chrono::milliseconds kLongEnough(300);
    std::vector<double> times_us;
    const Clock::time_point start = Clock::now();
    while (times_us.size() < kMinRuns ||
           (Clock::now() - start < kLongEnough && times_us.size() < kMaxRuns)) {
      auto input = prepare();
      const Clock::time_point begin = Clock::now();
      work(input);
      times_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::ranges::sort(times_us);
    rows_.push_back({{"op", op},
                     {"n", size_.degree},
                     {"limbs", shape.limbs},
                     {"special_limbs", shape.special_limbs},
                     {"digits", shape.digits},
                     {"threads", pool_ ? pool_->size() : 1},
                     {"isa", simd::isa_name(simd::kernels().isa)},
                     {"median_us", times_us[times_us.size() / 2]},
                     {"min_us", times_us.front()},
                     {"max_us", times_us.back()}});
  }

  void ntt() {
    const ring::NttTables& tables = parameters_.all_moduli().ntt(0);
    std::vector<uint32_t> limb(size_.degree, 1);
    const auto nothing = [] { return 0; };
    measure("ntt_forward", {1, 0, 0}, nothing, [&](int) { tables.forward(limb); });
    measure("ntt_inverse", {1, 0, 0}, nothing, [&](int) { tables.inverse(limb); });
  }

  Status encoding_and_encryption() {
    const ckks::Encoder encoder(size_.degree);
    const ring::Basis basis = parameters_.ciphertext_moduli();
    const Shape all{size_.limbs, 0, 0};
    std::vector<ckks::Complex> slots(encoder.slots());
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = std::polar(1.0, static_cast<double>(i));
    BAUTA_TRY(const ckks::Message message, encoder.encode(slots, kScale));
    BAUTA_TRY(const ckks::PublicKey public_key, secret::generate_public_key(key_));
    const auto nothing = [] { return 0; };
    measure("encode", all, nothing,
            [&](int) { return make_plaintext(*encoder.encode(slots, kScale), basis, pool_); });
    const ring::CoefficientPolynomial polynomial = ring::from_signed(message.coefficients, basis);
    measure("decode", all, nothing, [&](int) {
      std::vector<ring::ConstLimb> limbs;
      for (size_t i = 0; i < basis.size(); ++i) limbs.push_back(polynomial.limb(i));
      return encoder.decode(ckks::centred_values(limbs, basis), kScale);
    });
    measure("encrypt_public", {size_.limbs, size_.special_limbs, 0}, nothing, [&](int) {
      return secret::encrypt_public(parameters_, public_key, message, size_.limbs).ok();
    });
    measure("encrypt_secret", all, nothing,
            [&](int) { return secret::encrypt(key_, message, size_.limbs).ok(); });
    // What is decrypted has spent its levels.
    const size_t last = std::min<size_t>(size_.limbs, 2);
    BAUTA_TRY(const ckks::SeededCiphertext seeded, secret::encrypt(key_, message, last));
    const ckks::CoefficientCiphertext ciphertext = expand(seeded);
    measure("decrypt", {last, 0, 0}, nothing, [&](int) { return decrypt(key_, ciphertext).ok(); });
    BAUTA_TRY(const ckks::SeededCiphertext input, secret::encrypt(key_, message, size_.limbs));
    ciphertext_ = to_evaluation(expand(input), pool_);
    plaintext_ = make_plaintext(message, basis, pool_);
    return {};
  }

  Result<std::unique_ptr<const ckks::Evaluator>> make_evaluator() {
    const ckks::KeySwitchShape shape = ckks::top_shape(parameters_, size_.digit_limbs);
    BAUTA_TRY(ckks::KeySet made, ckks::KeySet::create(key_.id(), {&shape, 1}));
    const auto keys = std::make_shared<ckks::KeySet>(std::move(made));
    BAUTA_TRY(ckks::RelinearizationKey relinearization_key,
              secret::generate_relinearization_key(key_, shape));
    BAUTA_CHECK(keys->add(std::move(relinearization_key)));
    BAUTA_TRY(ckks::GaloisKey galois_key,
              secret::generate_galois_key(key_, ckks::rotation_element(1, size_.degree), shape));
    BAUTA_CHECK(keys->add(std::move(galois_key)));
    return std::make_unique<const ckks::Evaluator>(parameters_, keys, pool_);
  }

  Status evaluation() {
    BAUTA_TRY(const auto evaluator, make_evaluator());
    const Shape plain{size_.limbs, 0, 0};
    const Shape keyed{size_.limbs, size_.special_limbs,
                      (size_.limbs + size_.digit_limbs - 1) / size_.digit_limbs};
    const auto copy = [&] { return ciphertext_.clone(); };
    const auto nothing = [] { return 0; };
    using Ciphertext = ckks::Evaluator::Ciphertext;
    measure("add", plain, copy,
            [&](Ciphertext& input) { evaluator->add_in_place(input, ciphertext_); });
    measure("multiply_plain", plain, copy,
            [&](Ciphertext& input) { evaluator->multiply_plain_in_place(input, plaintext_); });
    measure("multiply", plain, nothing,
            [&](int) { return evaluator->multiply(ciphertext_, ciphertext_); });
    measure(
        "relinearize", keyed, [&] { return evaluator->multiply(ciphertext_, ciphertext_); },
        [&](ckks::Evaluator::Product& product) {
          return evaluator->relinearize(std::move(product));
        });
    measure("rescale", plain, copy, [&](Ciphertext& input) { evaluator->rescale_in_place(input); });
    measure("rotate", keyed, nothing, [&](int) { return evaluator->rotate(ciphertext_, 1); });
    measure("rotate_hoisted_setup", keyed, nothing,
            [&](int) { return evaluator->hoist(ciphertext_); });
    const ckks::Evaluator::Hoisted hoisted = evaluator->hoist(ciphertext_);
    measure("rotate_hoisted_each", keyed, nothing,
            [&](int) { return evaluator->rotate(hoisted, 1); });
    // Left modulo QP, for sums that are divided by P once.
    measure("rotate_hoisted_each_extended", keyed, nothing,
            [&](int) { return evaluator->rotate_extended(hoisted, 1); });
    return {};
  }

  static constexpr double kScale = 0x1p29;

  const ckks::Parameters& parameters_;
  const secret::SecretKey& key_;
  const RingSize& size_;
  ThreadPool* pool_;
  Json& rows_;
  ckks::EvaluationCiphertext ciphertext_;
  ckks::Plaintext plaintext_;
};

std::string table(const Json& rows) {
  std::string text = fmt::format("{:30} {:>6} {:>6} {:>8} {:>7} {:>12}\n", "operation", "N",
                                 "limbs", "special", "digits", "median us");
  for (const Json& row : rows)
    text += fmt::format("{:30} {:6} {:6} {:8} {:7} {:12.1f}\n", row["op"].get<std::string>(),
                        row["n"].get<size_t>(), row["limbs"].get<size_t>(),
                        row["special_limbs"].get<size_t>(), row["digits"].get<size_t>(),
                        row["median_us"].get<double>());
  return text;
}

}  // namespace

Result<Report> bench_primitives(const CommonOptions& common,
                                const BenchPrimitivesOptions& options) {
  const auto pool = common.threads > 1 ? std::make_unique<ThreadPool>(common.threads) : nullptr;
  Json rows = Json::array();
  Progress progress("measuring ring sizes", std::size(kRingSizes));
  for (const RingSize& size : kRingSizes) {
    if (options.degree == 0 || options.degree == size.degree) {
      BAUTA_TRY(const ckks::Parameters parameters, make_parameters(size));
      BAUTA_TRY(const ring::SecretSeed fresh, ring::SecretSeed::fresh());
      BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
      std::ranges::copy(fresh.bytes(), seed.data());
      BAUTA_TRY(const secret::SecretKey key,
                secret::SecretKey::expand(parameters, seed, "benchmark"));
      BAUTA_CHECK(PrimitivesBench(parameters, key, size, pool.get(), rows).run());
    }
    progress.advance();
  }
  return Report{.json = rows, .text = table(rows)};
}

}  // namespace bauta::cli
