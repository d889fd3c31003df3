// The one envelope of every serialised object of the encrypted side (docs/formats/envelope.md).
//
//   offset size
//        0    8  magic "BAUTAOBJ"
//        8    2  object type (ObjectType)
//       10    2  version of that type's payload
//       12    4  zero
//       16    8  payload size in bytes
//       24   32  digest of the parameters the object belongs to
//       56   16  id of the key it is under (zero: none)
//       72   32  SHA-256 of bytes 0..71 and of the payload
//      104       payload
//
// All integers are little-endian. The checksum finds accidents; it authenticates nothing.
#pragma once

#include "base/bytes.h"
#include "base/digest.h"
#include "ckks/key_id.h"

namespace bauta::ckks {

// Persistent: stands in files and messages. Append only.
enum class ObjectType : uint16_t {
  parameters = 1,
  switching_key = 2,
  galois_key = 3,
  relinearization_key = 4,
  public_key = 5,
  ciphertext = 6,
  seeded_ciphertext = 7,
  probe = 8,
  reference = 9,
  stored_reference = 10,
  score_request = 11,
  ring_switch_key = 12,
  admission = 13,
  image = 14,
};

// In plain words, for errors: "probe", "Galois key", ...
std::string_view object_type_name(ObjectType type);

constexpr size_t kEnvelopeHeaderBytes = 104;

struct EnvelopeHeader {
  ObjectType type;
  uint16_t version = 1;
  Digest parameters{};
  KeyId key_id{};
};

// Header and payload as one byte string.
Bytes seal_envelope(const EnvelopeHeader& header, ByteView payload);

// What the reader of an object is ready to accept.
struct ExpectedEnvelope {
  ObjectType type;
  uint16_t version = 1;
  Digest parameters{};
  // The largest payload this type can have under these parameters.
  size_t max_payload_bytes = 0;
  // For parameter sets themselves: take any digest.
  bool any_parameters = false;
};

struct Envelope {
  Digest parameters;
  KeyId key_id;
  ByteView payload;  // into the bytes given to open_envelope
};

// Checks everything before the payload is looked at. Errors: corrupt (truncated, oversized,
// trailing bytes, flipped bits, not an object at all) and mismatch (another type, version or
// parameter set), each saying which.
Result<Envelope> open_envelope(ByteView bytes, const ExpectedEnvelope& expected);

// The size of the first object in `bytes`, for files that hold several one after another; checks
// magic and bounds only. Error: corrupt.
Result<size_t> first_envelope_size(ByteView bytes, size_t max_payload_bytes);

}  // namespace bauta::ckks
