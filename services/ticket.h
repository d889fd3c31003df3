// Tickets: an edge's signature under one request, good for one decision (docs/formats/ticket.md).
// The authentication server can neither make one nor change what it is for.
#pragma once

#include <array>

#include "base/digest.h"
#include "base/secret.h"
#include "bauta/v1/types.pb.h"

namespace bauta {

// What a ticket is for.
struct TicketScope {
  std::string edge_id, gallery;
  bool verification = false;  // 1:1, else 1:N
  Digest probe{};             // ticketed_digest
};

// SHA-256 of what an IdentifyRequest or a VerifyRequest sends: the image in image mode, else the
// probe.
template <typename Request>
Digest ticketed_digest(const Request& request) {
  return sha256(as_bytes(request.image().empty() ? request.probe() : request.image()));
}

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

// Error refused unless the owner of the key has signed this ticket for this scope.
Status verify_ticket(const TicketPublicKey& key, const TicketScope& scope,
                     const v1::Ticket& ticket);

}  // namespace bauta
