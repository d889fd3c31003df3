// The connection of a Token: sessions, login, and the way back after a loss. Internal to libs/keys.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <shared_mutex>
#include <vector>

#include "keys/module.h"
#include "keys/softhsm.h"
#include "keys/token.h"

namespace bauta::keys {

inline constexpr CK_BBOOL kTrue = CK_TRUE;
inline constexpr CK_BBOOL kFalse = CK_FALSE;

// PKCS#11 takes pointers to what it only reads as pointers to what it may change.
template <typename Value>
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const Value& value) {
  static_assert(std::is_trivially_copyable_v<Value> && !std::is_pointer_v<Value>);
  return {type, const_cast<Value*>(&value), sizeof value};
}
inline CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, std::string_view text) {
  return {type, const_cast<char*>(text.data()), text.size()};
}
inline CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, ByteView bytes) {
  return {type, const_cast<uint8_t*>(bytes.data()), bytes.size()};
}

// What an object of the token is.
struct Kind {
  CK_OBJECT_CLASS object_class;
  CK_KEY_TYPE key_type;
  auto operator<=>(const Kind&) const = default;
};
inline constexpr Kind kDerivationKey{CKO_SECRET_KEY, CKK_GENERIC_SECRET};

// What a derivation key is and may do, for its making or unwrapping. Refers to id and label.
std::vector<CK_ATTRIBUTE> derivation_key_attributes(const KeyId& id, std::string_view label);

// Thread-safe.
class Connection {
 public:
  using Operation = std::function<CK_RV(CK_SESSION_HANDLE)>;
  using Use = std::function<CK_RV(CK_OBJECT_HANDLE)>;

  Connection(TokenConfig config, SecretBytes pin, std::unique_ptr<Module> module)
      : config_(std::move(config)), pin_(std::move(pin)), module_(std::move(module)) {}
  ~Connection() { disconnect(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Before the first call of run().
  Status connect();

  // Calls the operation on a session that no other call uses. When a handle is stale or the
  // connection is lost, calls it again, on a new connection if need be. `action` completes
  // "cannot ..." in the error.
  Status run(std::string_view action, const Operation& operation);

  // Within run(): all objects of the kind that match.
  CK_RV search(CK_SESSION_HANDLE session, const Kind& kind, std::vector<CK_ATTRIBUTE> pattern,
               std::vector<CK_OBJECT_HANDLE>& found) const;

  // Within run(): uses the handle of the object; found tells whether there is one.
  CK_RV with_key(CK_SESSION_HANDLE session, const Kind& kind, const KeyId& id, bool& found,
                 const Use& use);
  void forget(const Kind& kind, const KeyId& id);

  // Within run(): id and label of an object; nothing when they are not such as ours have.
  CK_RV read_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                 std::optional<TokenKey>& key) const;

  // Once a change is to be relied on: it survives a power failure.
  Status sync() const;

  const Module& module() const { return *module_; }
  const std::string& label() const { return config_.label; }

 private:
  static constexpr std::ptrdiff_t kMaxSessions = 8;

  bool is_embedded() const { return !config_.softhsm_directory.empty(); }
  Status start_embedded();
  Status start();
  Status log_in();
  Status reconnect(uint64_t lost_connection);
  void disconnect();
  CK_RV open_session(CK_SESSION_HANDLE& session);
  CK_RV on_idle_session(const Operation& operation);

  const TokenConfig config_;
  const SecretBytes pin_;  // kept, to log in again when the token returns
  const std::unique_ptr<Module> module_;

  std::shared_mutex restart_;  // shared by calls, exclusive for connecting
  bool connected_ = false;
  uint64_t connections_ = 0;      // counts attempts, so that of many calls that fail one reconnects
  std::optional<Error> refusal_;  // of the PIN, which is not tried again
  CK_SLOT_ID slot_ = 0;
  CK_SESSION_HANDLE login_session_ = 0;  // a login lasts as long as a session is open

  std::counting_semaphore<kMaxSessions> sessions_{kMaxSessions};
  std::mutex pool_;  // guards the two below
  std::vector<CK_SESSION_HANDLE> idle_;
  // A search takes milliseconds on a full token.
  std::map<std::pair<Kind, KeyId>, CK_OBJECT_HANDLE> handles_;
};

}  // namespace bauta::keys
