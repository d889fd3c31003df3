#include "ckks/parameters.h"

#include <bit>

#include "ckks/envelope.h"

namespace bauta::ckks {
namespace {

constexpr size_t kMaxPrimes = 64;  // of Q and of P, each

struct SecurityLimit {
  size_t degree;
  double log2_qp;
};
constexpr SecurityLimit kSecurityLimits[] = {{2048, 53},   {4096, 106},  {8192, 214},
                                             {16384, 430}, {32768, 868}, {65536, 1747}};

Status check_security(size_t degree, double log2_qp) {
  const double limit = max_log2_qp(degree);
  if (log2_qp <= limit) return {};
  return make_error(ErrorCode::invalid_argument,
                    "log2(QP) = {:.1f} is more than the {} that 128-bit security allows at ring "
                    "degree {}; take fewer or smaller primes, or a larger degree",
                    log2_qp, limit, degree);
}

Bytes literal_payload(const ParametersLiteral& literal, bool insecure) {
  ByteWriter writer;
  writer.u8(insecure ? 1 : 0);
  writer.u32(static_cast<uint32_t>(literal.degree));
  for (const auto* primes : {&literal.primes, &literal.special_primes}) {
    writer.u16(static_cast<uint16_t>(primes->size()));
    for (const uint32_t prime : *primes) writer.u32(prime);
  }
  return std::move(writer).take();
}

Result<std::vector<uint32_t>> read_primes(ByteReader& reader) {
  BAUTA_TRY(const uint16_t count, reader.u16());
  if (count > kMaxPrimes)
    return make_error(ErrorCode::corrupt, "a parameter set with {} primes; at most {} are possible",
                      count, kMaxPrimes);
  std::vector<uint32_t> primes;
  for (uint16_t i = 0; i < count; ++i) {
    BAUTA_TRY(const uint32_t prime, reader.u32());
    primes.push_back(prime);
  }
  return primes;
}

}  // namespace

double max_log2_qp(size_t degree) {
  for (const SecurityLimit& limit : kSecurityLimits)
    if (limit.degree == degree) return limit.log2_qp;
  return 0;
}

Result<Parameters> Parameters::create(const ParametersLiteral& literal) {
  return build(literal, /*insecure=*/false);
}

Result<Parameters> Parameters::insecure_create(const ParametersLiteral& literal) {
  return build(literal, /*insecure=*/true);
}

Result<Parameters> Parameters::build(const ParametersLiteral& literal, bool insecure) {
  if (!std::has_single_bit(literal.degree))
    return make_error(ErrorCode::invalid_argument, "ring degree {} is not a power of two",
                      literal.degree);
  if (literal.primes.empty() || literal.primes.size() > kMaxPrimes ||
      literal.special_primes.size() > kMaxPrimes)
    return make_error(ErrorCode::invalid_argument,
                      "{} primes and {} special primes; 1 to {} and 0 to {} are possible",
                      literal.primes.size(), literal.special_primes.size(), kMaxPrimes, kMaxPrimes);
  std::vector<uint32_t> moduli = literal.primes;
  moduli.insert(moduli.end(), literal.special_primes.begin(), literal.special_primes.end());
  const auto log_degree = static_cast<size_t>(std::countr_zero(literal.degree));
  BAUTA_TRY(ring::Basis all_moduli, ring::Basis::create(log_degree, moduli));
  if (!insecure) BAUTA_CHECK(check_security(literal.degree, all_moduli.log2_modulus()));
  const Digest digest = sha256(literal_payload(literal, insecure));
  return Parameters(
      std::make_shared<const State>(State{literal, insecure, std::move(all_moduli), digest}));
}

Bytes Parameters::serialize() const {
  return seal_envelope({.type = ObjectType::parameters, .parameters = digest()},
                       literal_payload(state_->literal, insecure()));
}

Result<Parameters> Parameters::parse(ByteView bytes) {
  // The digest in the header is that of the payload itself, so it is checked at the end.
  constexpr size_t kMaxPayloadBytes = 1 + 4 + 2 * (2 + 4 * kMaxPrimes);
  BAUTA_TRY(const Envelope envelope, open_envelope(bytes, {.type = ObjectType::parameters,
                                                           .max_payload_bytes = kMaxPayloadBytes,
                                                           .any_parameters = true}));
  ByteReader reader(envelope.payload, "parameter set");
  BAUTA_TRY(const uint8_t insecure, reader.u8());
  if (insecure != 0)
    return make_error(ErrorCode::refused, "this parameter set is marked insecure, for tests only");
  ParametersLiteral literal;
  BAUTA_TRY(const uint32_t degree, reader.u32());
  literal.degree = degree;
  BAUTA_TRY(literal.primes, read_primes(reader));
  BAUTA_TRY(literal.special_primes, read_primes(reader));
  BAUTA_CHECK(reader.finish());
  BAUTA_TRY(Parameters parameters, create(literal));
  if (parameters.digest() != envelope.parameters || envelope.key_id != KeyId{})
    return make_error(ErrorCode::corrupt, "the parameter set's header does not fit its content");
  return parameters;
}

}  // namespace bauta::ckks
