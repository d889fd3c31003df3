// Residues packed at the bit width of their modulus: value i occupies bits [i*width, (i+1)*width)
// of the byte string, least significant bit first. A polynomial is its limbs one after another.
#pragma once

#include "base/bytes.h"
#include "ring/polynomial.h"

namespace bauta::ckks {

// Bits of q-1, e.g. 30 for 1073479681.
int residue_bits(uint32_t modulus);

// count is a multiple of 8, so that no value shares a byte with what follows.
size_t packed_bytes(size_t count, uint32_t modulus);
size_t packed_bytes(const ring::Basis& basis);

// Precondition: every residue is below the modulus; residues.size() is a multiple of 8.
void pack_residues(ByteWriter& writer, ring::ConstLimb residues, uint32_t modulus);

template <ring::Form form>
void pack_polynomial(ByteWriter& writer, const ring::RnsPolynomial<form>& polynomial) {
  for (size_t i = 0; i < polynomial.limb_count(); ++i)
    pack_residues(writer, polynomial.limb(i), polynomial.basis().modulus(i).value());
}

// Error `corrupt` when the bytes end early or a value is not below the modulus.
Status unpack_residues(ByteReader& reader, uint32_t modulus, ring::Limb residues);

template <ring::Form form>
Result<ring::RnsPolynomial<form>> unpack_polynomial(ByteReader& reader, const ring::Basis& basis) {
  auto polynomial = ring::RnsPolynomial<form>::uninitialised(basis);
  for (size_t i = 0; i < basis.size(); ++i)
    BAUTA_CHECK(unpack_residues(reader, basis.modulus(i).value(), polynomial.limb(i)));
  return polynomial;
}

}  // namespace bauta::ckks
