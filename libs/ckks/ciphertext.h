// Ciphertexts: what is encrypted, in which form, at which scale, under which key.
#pragma once

#include "ckks/key_id.h"
#include "ckks/parameters.h"
#include "ring/sampler.h"

namespace bauta::ckks {

// Decrypts to c0 + c1*s modulo the moduli it carries, the first limbs() of Q; that is the message
// times scale, plus noise. Copies are explicit (clone).
template <ring::Form form>
struct Ciphertext {
  ring::RnsPolynomial<form> c0, c1;
  double scale = 1;
  KeyId key_id;

  size_t limbs() const { return c0.limb_count(); }
  Ciphertext clone() const { return {c0.clone(), c1.clone(), scale, key_id}; }
};

using CoefficientCiphertext = Ciphertext<ring::Form::coefficient>;
using EvaluationCiphertext = Ciphertext<ring::Form::evaluation>;

// In place.
EvaluationCiphertext to_evaluation(CoefficientCiphertext&& ciphertext, ThreadPool* pool = nullptr);
CoefficientCiphertext to_coefficient(EvaluationCiphertext&& ciphertext, ThreadPool* pool = nullptr);

// A product before relinearisation: decrypts to c0 + c1*s + c2*s^2.
struct ProductCiphertext {
  ring::EvaluationPolynomial c0, c1, c2;
  double scale = 1;
  KeyId key_id;
};

// A fresh secret-key ciphertext whose uniform half is the expansion of a seed, so that it travels
// in half the bytes.
struct SeededCiphertext {
  ring::CoefficientPolynomial c0;
  ring::PublicSeed seed{};  // c1 = sample_uniform(seed, kCiphertextPurpose, 0, basis)
  double scale = 1;
  KeyId key_id;
};

inline constexpr std::string_view kCiphertextPurpose = "bauta ciphertext uniform half";

CoefficientCiphertext expand(const SeededCiphertext& ciphertext);

// Payloads, for the objects that hold ciphertexts. The limb count and the scale stand first.
void write_payload(ByteWriter& writer, const SeededCiphertext& ciphertext);
void write_payload(ByteWriter& writer, const CoefficientCiphertext& ciphertext);
// Errors: corrupt; the number of limbs read is bounded by max_limbs. key_id is left empty.
Result<SeededCiphertext> read_seeded_payload(ByteReader& reader, const Parameters& parameters,
                                             size_t max_limbs);
Result<CoefficientCiphertext> read_payload(ByteReader& reader, const Parameters& parameters,
                                           size_t max_limbs);
size_t seeded_payload_bytes(const Parameters& parameters, size_t limbs);
size_t payload_bytes(const Parameters& parameters, size_t limbs);

// Objects of their own.
Bytes serialize(const Parameters& parameters, const SeededCiphertext& ciphertext);
Bytes serialize(const Parameters& parameters, const CoefficientCiphertext& ciphertext);
// Errors as open_envelope.
Result<SeededCiphertext> parse_seeded_ciphertext(const Parameters& parameters, ByteView bytes);
Result<CoefficientCiphertext> parse_ciphertext(const Parameters& parameters, ByteView bytes);

}  // namespace bauta::ckks
