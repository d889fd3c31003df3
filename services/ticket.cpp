#include "services/ticket.h"

#include <algorithm>
#include <memory>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/release.h"

namespace bauta {
namespace {

// Persistent: what the signing key is derived for, and what is signed.
constexpr std::string_view kKeyPurpose = "bauta ticket key 1";
constexpr std::string_view kTicketPurpose = "bauta ticket 2";
constexpr std::string_view kSubjectPurpose = "bauta subject 1";
constexpr size_t kSeed_bytes = 32;
constexpr size_t kSignature_bytes = 64;

using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Release<EVP_MD_CTX_free>>;

// Wiped by OpenSSL when it is released.
Key private_key(const SecretBytes& seed) {
  return Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
}

Bytes signed_bytes(const TicketScope& scope, const v1::Ticket& ticket) {
  ByteWriter writer;
  writer.text(kTicketPurpose);
  writer.u8(static_cast<uint8_t>(scope.kind));
  writer.text(scope.edge_id);
  writer.text(scope.gallery);
  writer.text(scope.key_id);
  writer.raw(scope.contract);
  writer.raw(scope.ciphertexts);
  writer.u32(scope.count);
  writer.raw(scope.subject);
  writer.u8(scope.image ? 1 : 0);
  writer.text(ticket.nonce());
  writer.u64(ticket.issued_at_ms());
  return std::move(writer).take();
}

}  // namespace

Digest subject_digest(const std::string& gallery, const std::string& subject) {
  ByteWriter writer;
  writer.text(kSubjectPurpose);
  writer.text(gallery);
  writer.text(subject);
  return sha256(writer.bytes());
}

PersonId person_of(const Digest& subject) {
  PersonId person;
  std::copy_n(subject.begin(), person.size(), person.begin());
  return person;
}

Digest ticket_digest(const TicketScope& scope, const v1::Ticket& ticket) {
  return sha256(signed_bytes(scope, ticket));
}

Result<TicketSigner> TicketSigner::create(const SecretBytes& edge_seed) {
  BAUTA_TRY(SecretBytes seed, SecretBytes::create(kSeed_bytes));
  unsigned size = kSeed_bytes;
  const uint8_t* made = HMAC(EVP_sha256(), edge_seed.data(), static_cast<int>(edge_seed.size()),
                             as_bytes(kKeyPurpose).data(), kKeyPurpose.size(), seed.data(), &size);
  BAUTA_ASSERT(made != nullptr && size == kSeed_bytes);
  return TicketSigner(std::move(seed));
}

Result<v1::Ticket> TicketSigner::sign(const TicketScope& scope) const {
  TicketNonce nonce;
  random_bytes(nonce);
  v1::Ticket ticket;
  ticket.set_nonce(std::string(as_text(nonce)));
  ticket.set_issued_at_ms(static_cast<uint64_t>(now_ms()));
  const Bytes message = signed_bytes(scope, ticket);
  const Key key = private_key(seed_);
  const Context context(EVP_MD_CTX_new());
  std::string signature(kSignature_bytes, '\0');
  size_t size = signature.size();
  if (key == nullptr || context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.data()), &size,
                     message.data(), message.size()) != 1)
    return make_error(ErrorCode::internal, "cannot sign a ticket");
  ticket.set_signature(std::move(signature));
  return ticket;
}

Result<TicketPublicKey> TicketSigner::public_key() const {
  const Key key = private_key(seed_);
  TicketPublicKey bytes;
  size_t size = bytes.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) != 1)
    return make_error(ErrorCode::internal, "cannot derive the key of an edge's tickets");
  return bytes;
}

Status verify_ticket(const TicketPublicKey& key, const TicketScope& scope,
                     const v1::Ticket& ticket) {
  const Key public_key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const Context context(EVP_MD_CTX_new());
  const Bytes message = signed_bytes(scope, ticket);
  const ByteView signature = as_bytes(ticket.signature());
  if (public_key == nullptr || context == nullptr ||
      ticket.nonce().size() != TicketNonce().size() ||
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) != 1 ||
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                       message.size()) != 1)
    return make_error(ErrorCode::refused,
                      "the request carries no ticket that edge {} has signed for it",
                      scope.edge_id);
  return {};
}

}  // namespace bauta
