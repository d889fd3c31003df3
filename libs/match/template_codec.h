// Embeddings to plaintext polynomials. Edge side; needs no key.
#pragma once

#include <span>

#include "base/secret.h"
#include "match/parameters.h"

namespace bauta::match {

// N signed coefficients, the message to encrypt; wiped on release, for it is a face.
using TemplatePolynomial = SecretArray<int32_t>;

// A unit vector within this of norm 1 is taken; the caller normalises.
constexpr double kNormTolerance = 1e-3;

// Error invalid_argument: wrong dimension, NaN or infinite entries, norm not 1.
Status check_embedding(const Parameters& parameters, std::span<const float> embedding);

// round(Dq * embedding) as qbar(Y) = q(1/Y): coefficient 0 holds entry 0, coefficient N - i*stride
// minus entry i. Errors: check_embedding's; unavailable when memory cannot be locked.
Result<TemplatePolynomial> encode_probe(const Parameters& parameters,
                                        std::span<const float> embedding);

// round(Dk * embedding) as k(Y): coefficient i*stride holds entry i. Errors as encode_probe.
Result<TemplatePolynomial> encode_reference(const Parameters& parameters,
                                            std::span<const float> embedding);

}  // namespace bauta::match
