#include "services/ticket.h"

#include <functional>
#include <set>

#include <gtest/gtest.h>

namespace bauta {
namespace {

SecretBytes seed_of(uint8_t number) {
  SecretBytes seed = SecretBytes::create(32).value();
  std::ranges::fill(std::span(seed.data(), seed.size()), number);
  return seed;
}

TicketScope some_scope() {
  TicketScope scope;
  scope.kind = TicketKind::verification;
  scope.edge_id = "edge";
  scope.gallery = "gallery";
  scope.key_id = std::string(32, 'a');
  scope.contract.fill(1);
  scope.ciphertexts.fill(2);
  scope.subject.fill(3);
  return scope;
}

// Every field of a scope, changed in every byte, and texts also in their lengths. A field that is
// added to TicketScope and not here changes its size.
std::vector<TicketScope> other_scopes() {
  struct AllFields {
    TicketKind kind;
    std::string edge_id, gallery, key_id;
    Digest contract, ciphertexts, subject;
    bool image;
  };
  static_assert(sizeof(TicketScope) == sizeof(AllFields),
                "a new field belongs into what is signed");
  std::vector<TicketScope> others;
  const auto add = [&](const std::function<void(TicketScope&)>& change) {
    change(others.emplace_back(some_scope()));
  };
  for (const TicketKind kind :
       {TicketKind::identification, TicketKind::enrolment, TicketKind::contract})
    add([&](TicketScope& scope) { scope.kind = kind; });
  for (std::string TicketScope::*text :
       {&TicketScope::edge_id, &TicketScope::gallery, &TicketScope::key_id}) {
    for (size_t i = 0; i < (some_scope().*text).size(); ++i)
      add([&](TicketScope& scope) { (scope.*text)[i] ^= 1; });
    add([&](TicketScope& scope) { (scope.*text).clear(); });
    add([&](TicketScope& scope) { (scope.*text).pop_back(); });
    add([&](TicketScope& scope) { (scope.*text).push_back('\0'); });
  }
  for (Digest TicketScope::*digest :
       {&TicketScope::contract, &TicketScope::ciphertexts, &TicketScope::subject})
    for (size_t i = 0; i < sizeof(Digest); ++i)
      add([&](TicketScope& scope) { (scope.*digest)[i] ^= 0x80; });
  add([](TicketScope& scope) { scope.image = true; });
  // The same letters in other fields.
  add([](TicketScope& scope) {
    scope.edge_id = "edgegallery";
    scope.gallery = "";
  });
  add([](TicketScope& scope) { std::swap(scope.edge_id, scope.gallery); });
  add([](TicketScope& scope) { std::swap(scope.ciphertexts, scope.subject); });
  add([](TicketScope& scope) { std::swap(scope.ciphertexts, scope.contract); });
  return others;
}

TEST(Ticket, EveryFieldOfTheScopeChangesWhatIsSigned) {
  const TicketSigner signer = TicketSigner::create(seed_of(1)).value();
  const TicketPublicKey key = signer.public_key().value();
  const v1::Ticket ticket = signer.sign(some_scope()).value();
  EXPECT_TRUE(verify_ticket(key, some_scope(), ticket).ok());
  std::vector<Digest> digests{ticket_digest(some_scope(), ticket)};
  for (const TicketScope& other : other_scopes()) {
    EXPECT_EQ(verify_ticket(key, other, ticket).error().code, ErrorCode::refused)
        << other.edge_id << " " << other.gallery;
    digests.push_back(ticket_digest(other, ticket));
  }
  std::ranges::sort(digests);
  EXPECT_EQ(std::ranges::adjacent_find(digests), digests.end());
}

TEST(Ticket, EveryBitOfItIsHeld) {
  const TicketSigner signer = TicketSigner::create(seed_of(1)).value();
  const TicketPublicKey key = signer.public_key().value();
  const v1::Ticket ticket = signer.sign(some_scope()).value();
  const auto expect_refused = [&](const v1::Ticket& changed) {
    EXPECT_EQ(verify_ticket(key, some_scope(), changed).error().code, ErrorCode::refused)
        << changed.ShortDebugString();
  };
  for (int bit = 0; bit < 64; ++bit) {
    v1::Ticket changed = ticket;
    changed.set_issued_at_ms(ticket.issued_at_ms() ^ uint64_t{1} << bit);
    expect_refused(changed);
    EXPECT_NE(ticket_digest(some_scope(), changed), ticket_digest(some_scope(), ticket));
  }
  for (std::string* (v1::Ticket::*field)() :
       {&v1::Ticket::mutable_nonce, &v1::Ticket::mutable_signature}) {
    v1::Ticket changed = ticket;
    std::string& bytes = *(changed.*field)();
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
      expect_refused(changed);
      bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    }
    bytes.push_back('\0');
    expect_refused(changed);
    bytes.clear();
    expect_refused(changed);
  }
  expect_refused({});
}

TEST(Ticket, OnlyTheOwnerOfTheKeySigns) {
  const v1::Ticket ticket = TicketSigner::create(seed_of(1))->sign(some_scope()).value();
  const TicketPublicKey other = TicketSigner::create(seed_of(2))->public_key().value();
  EXPECT_FALSE(verify_ticket(other, some_scope(), ticket).ok());
}

TEST(Ticket, NoTwoHaveOneNonce) {
  const TicketSigner signer = TicketSigner::create(seed_of(1)).value();
  std::set<std::string> nonces;
  for (int i = 0; i < 1000; ++i) nonces.insert(signer.sign(some_scope())->nonce());
  EXPECT_EQ(nonces.size(), 1000u);
}

TEST(Ticket, TheDigestOfCiphertextsTellsWhereOneEndsAndTheNextBegins) {
  using Texts = std::vector<std::string>;
  const std::vector<Texts> all = {{},          {""},        {"", ""},   {"ab"},
                                  {"a", "b"},  {"b", "a"},  {"ab", ""}, {"", "ab"},
                                  {"a", "bc"}, {"ab", "c"}, {"abc"},    {"a", "b", "c"}};
  std::set<Digest> digests;
  for (const Texts& texts : all) digests.insert(ciphertexts_digest(texts));
  EXPECT_EQ(digests.size(), all.size());
}

TEST(Ticket, ASubjectIsNamedWithItsGallery) {
  EXPECT_EQ(subject_digest("gallery", "subject"), subject_digest("gallery", "subject"));
  EXPECT_NE(subject_digest("gallery", "subject"), subject_digest("gallery2", "subject"));
  EXPECT_NE(subject_digest("a", "bc"), subject_digest("ab", "c"));
}

}  // namespace
}  // namespace bauta
