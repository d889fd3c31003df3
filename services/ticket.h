// Tickets: an edge's signature under one request, good for one decision, enrolment or contract
// (docs/formats/ticket.md). The authentication server can neither make one nor change what it is
// for.
#pragma once

#include <array>

#include "base/digest.h"
#include "base/secret.h"
#include "bauta/v1/types.pb.h"

namespace bauta {

// Persistent: stands in what is signed.
enum class TicketKind : uint8_t {
  identification = 1,
  verification = 2,
  enrolment = 3,
  contract = 4,  // registers a gallery's contract
};

// What a ticket is for. Everything by which the key service judges follows from it.
struct TicketScope {
  TicketKind kind = TicketKind::identification;
  std::string edge_id, gallery;
  std::string key_id;    // as in requests: 32 hexadecimal digits
  Digest contract{};     // contract_digest of the gallery's contract
  Digest ciphertexts{};  // ciphertexts_digest; zeros for a contract
  uint32_t count = 1;    // of these ciphertexts: nothing beyond them is opened for the ticket
  Digest subject{};      // subject_digest; zeros in 1:N and for a contract
  bool image = false;    // the ciphertexts are encrypted images
};

// Of every ciphertext of a request, in order.
template <typename Ciphertexts>
Digest ciphertexts_digest(const Ciphertexts& ciphertexts) {
  Bytes digests;
  for (const std::string& ciphertext : ciphertexts) {
    const Digest digest = sha256(as_bytes(ciphertext));
    digests.insert(digests.end(), digest.begin(), digest.end());
  }
  return sha256(digests);
}

// Of a probe, as a template or as an image.
template <typename Request>
Digest probe_digest(const Request& request) {
  return sha256(sha256(as_bytes(request.image().empty() ? request.probe() : request.image())));
}

// A person under a name that tells those who do not know the gallery's names little.
Digest subject_digest(const std::string& gallery, const std::string& subject);
// Its start, by which the key service tells the people of a gallery apart: a match::Pseudonym. Of a
// million people some 230 share theirs with another, and are counted as one.
using PersonId = std::array<uint8_t, 4>;
PersonId person_of(const Digest& subject);

using TicketNonce = std::array<uint8_t, 16>;
using TicketPublicKey = std::array<uint8_t, 32>;

// Signs with the Ed25519 key that follows from an edge's secret: the edge does, and the key
// service, which derives that secret too, learns the public half.
class TicketSigner {
 public:
  // edge_seed: the secret that was delivered to the edge. Error unavailable when memory cannot be
  // locked.
  static Result<TicketSigner> create(const SecretBytes& edge_seed);

  // With a fresh nonce and the present time.
  Result<v1::Ticket> sign(const TicketScope& scope) const;
  Result<TicketPublicKey> public_key() const;

 private:
  explicit TicketSigner(SecretBytes seed) : seed_(std::move(seed)) {}
  SecretBytes seed_;
};

// SHA-256 of all that a ticket signs: what an answer is bound to.
Digest ticket_digest(const TicketScope& scope, const v1::Ticket& ticket);

// Error refused unless the owner of the key has signed this ticket for this scope.
Status verify_ticket(const TicketPublicKey& key, const TicketScope& scope,
                     const v1::Ticket& ticket);

}  // namespace bauta
