#include "ckks/packing.h"

#include <algorithm>
#include <bit>

namespace bauta::ckks {

int residue_bits(uint32_t modulus) {
  return std::bit_width(modulus - 1);
}

size_t packed_bytes(size_t count, uint32_t modulus) {
  BAUTA_ASSERT(count % 8 == 0);
  return count / 8 * static_cast<size_t>(residue_bits(modulus));
}

size_t packed_bytes(const ring::Basis& basis) {
  size_t size_bytes = 0;
  for (const uint32_t modulus : basis.moduli()) size_bytes += packed_bytes(basis.degree(), modulus);
  return size_bytes;
}

void pack_residues(ByteWriter& writer, ring::ConstLimb residues, uint32_t modulus) {
  BAUTA_ASSERT(residues.size() % 8 == 0);
  const int width = residue_bits(modulus);
  uint64_t pending = 0;
  int pending_bits = 0;
  for (const uint32_t residue : residues) {
    pending |= uint64_t{residue} << pending_bits;
    for (pending_bits += width; pending_bits >= 8; pending_bits -= 8, pending >>= 8)
      writer.u8(static_cast<uint8_t>(pending));
  }
}

Status unpack_residues(ByteReader& reader, uint32_t modulus, ring::Limb residues) {
  const int width = residue_bits(modulus);
  BAUTA_TRY(const ByteView bytes, reader.raw(packed_bytes(residues.size(), modulus)));
  const uint64_t mask = (uint64_t{1} << width) - 1;
  uint64_t pending = 0;
  int pending_bits = 0;
  uint32_t largest = 0;
  size_t next = 0;
  for (uint32_t& residue : residues) {
    for (; pending_bits < width; pending_bits += 8)
      pending |= uint64_t{bytes[next++]} << pending_bits;
    residue = static_cast<uint32_t>(pending & mask);
    largest = std::max(largest, residue);
    pending >>= width;
    pending_bits -= width;
  }
  if (largest >= modulus)
    return make_error(ErrorCode::corrupt, "a residue of {} is not below its modulus {}", largest,
                      modulus);
  return {};
}

}  // namespace bauta::ckks
