#include "keys/token.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <shared_mutex>
#include <thread>

#include "base/random.h"
#include "keys/module.h"
#include "keys/softhsm.h"

namespace bauta::keys {
namespace {

constexpr std::ptrdiff_t kMaxSessions = 8;
constexpr int kRestartsWhileWritten = 5;
constexpr size_t kObjectsPerSearch = 64;
constexpr CK_ULONG kKeySize_bytes = 32;

// PKCS#11 takes pointers to what it only reads as pointers to what it may change.
template <typename Value>
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const Value& value) {
  static_assert(std::is_trivially_copyable_v<Value> && !std::is_pointer_v<Value>);
  return {type, const_cast<Value*>(&value), sizeof value};
}
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, std::string_view text) {
  return {type, const_cast<char*>(text.data()), text.size()};
}
uint8_t* unconst(ByteView bytes) {
  return const_cast<uint8_t*>(bytes.data());
}

constexpr CK_BBOOL kTrue = CK_TRUE;
constexpr CK_BBOOL kFalse = CK_FALSE;
constexpr CK_OBJECT_CLASS kSecretKey = CKO_SECRET_KEY;
constexpr CK_KEY_TYPE kGenericSecret = CKK_GENERIC_SECRET;

CK_RV read_key(const Module& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
               std::optional<TokenKey>& key) {
  TokenKey read{};
  char label[kMaxKeyLabelSize_bytes];
  CK_ATTRIBUTE wanted[] = {{CKA_ID, read.id.data(), read.id.size()},
                           {CKA_LABEL, label, sizeof label}};
  const CK_RV result = module->C_GetAttributeValue(session, object, wanted, 2);
  if (result == CKR_BUFFER_TOO_SMALL) return CKR_OK;  // somebody else's object
  if (result != CKR_OK) return result;
  if (wanted[0].ulValueLen != read.id.size()) return CKR_OK;
  read.label.assign(label, wanted[1].ulValueLen);
  key = std::move(read);
  return CKR_OK;
}

Error not_in_token(const KeyId& id, std::string_view label) {
  return make_error(ErrorCode::not_found,
                    "the token '{}' does not hold the key {}; it was destroyed, or this is "
                    "another token",
                    label, to_hex(id));
}

}  // namespace

class Token::Connection {
 public:
  Connection(TokenConfig config, SecretBytes pin, std::unique_ptr<Module> module)
      : config_(std::move(config)), pin_(std::move(pin)), module_(std::move(module)) {}
  ~Connection() { disconnect(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Status connect();

  // Calls operation(session) -> CK_RV on a session that no other call uses. When a
  // handle is stale or the connection is lost, calls it again, on a new connection if need be.
  template <typename Operation>
  Status run(std::string_view action, Operation operation);

  // Within run(): all objects that match.
  CK_RV search(CK_SESSION_HANDLE session, std::vector<CK_ATTRIBUTE> pattern,
               std::vector<CK_OBJECT_HANDLE>& found) const;

  // Within run(): calls use(handle) -> CK_RV for the key; found tells whether there is one.
  template <typename Use>
  CK_RV with_key(CK_SESSION_HANDLE session, const KeyId& id, bool& found, Use use);

  // Once a change is to be relied on: it survives a power failure.
  Status sync() const {
    return is_embedded() ? sync_softhsm_directory(config_.softhsm_directory) : Status{};
  }

  void forget(const KeyId& id) {
    std::lock_guard lock(pool_);
    handles_.erase(id);
  }

  const Module& module() const { return *module_; }
  const std::string& label() const { return config_.label; }

 private:
  bool is_embedded() const { return !config_.softhsm_directory.empty(); }
  Status start_embedded();
  Status start();
  Status log_in();
  Status reconnect(uint64_t lost_connection);
  void disconnect();
  CK_RV open_session(CK_SESSION_HANDLE& session) {
    return (*module_)->C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                                     &session);
  }
  template <typename Operation>
  CK_RV on_idle_session(Operation operation);

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
  std::map<KeyId, CK_OBJECT_HANDLE> handles_;  // a search takes milliseconds on a full token
};

Status Token::Connection::connect() {
  ++connections_;
  if (refusal_) return *refusal_;
  Status status = is_embedded() ? start_embedded() : start();
  if (!status.ok()) disconnect();
  connected_ = status.ok();
  // Tokens count wrong tries and lock themselves; SoftHSM2 does not.
  if (!status.ok() && status.error().code == ErrorCode::refused && !is_embedded())
    refusal_ = status.error();
  return status;
}

// SoftHSM2 notes every login in a file that others can catch half-written, and then fails or takes
// the token for absent. So one process logs in at a time, and what other programs do is outwaited.
Status Token::Connection::start_embedded() {
  BAUTA_CHECK(select_softhsm_directory(config_.softhsm_directory));
  BAUTA_TRY(const FileLock lock, lock_softhsm_directory(config_.softhsm_directory));
  Status status = start();
  for (int retry = 0; !status.ok() && retry < kRestartsWhileWritten; ++retry) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    status = start();
  }
  return status;
}

Status Token::Connection::start() {
  disconnect();
  if (const CK_RV result = module_->initialise(); result != CKR_OK)
    return make_error(ErrorCode::unavailable,
                      "the PKCS#11 module {} does not start (error {:#x}); see the system log",
                      module_->path().string(), result);
  return log_in();
}

Status Token::Connection::log_in() {
  BAUTA_TRY(const Slot slot, find_token(*module_, config_.label));
  slot_ = slot.id;
  for (const CK_MECHANISM_TYPE mechanism : {CKM_GENERIC_SECRET_KEY_GEN, CKM_SHA256_HMAC}) {
    CK_MECHANISM_INFO info{};
    if ((*module_)->C_GetMechanismInfo(slot_, mechanism, &info) != CKR_OK)
      return make_error(ErrorCode::mismatch,
                        "the token '{}' lacks the mechanism {}, which derives every secret; use "
                        "another token",
                        label(),
                        mechanism == CKM_SHA256_HMAC ? "SHA256_HMAC" : "GENERIC_SECRET_KEY_GEN");
  }
  CK_RV result = open_session(login_session_);
  if (result != CKR_OK) return token_error(result, "open a session", label());
  if ((slot.flags & CKF_USER_PIN_INITIALIZED) == 0)
    result = CKR_USER_PIN_NOT_INITIALIZED;
  else if ((slot.flags & CKF_USER_PIN_LOCKED) != 0)
    result = CKR_PIN_LOCKED;
  else
    result = (*module_)->C_Login(login_session_, CKU_USER, unconst(pin_.span()), pin_.size());
  if (result == CKR_OK || result == CKR_USER_ALREADY_LOGGED_IN) return {};
  return token_error(result, "log in", label());
}

void Token::Connection::disconnect() {
  module_->finalise();
  connected_ = false;
  std::lock_guard lock(pool_);
  idle_.clear();
  handles_.clear();
}

Status Token::Connection::reconnect(uint64_t lost_connection) {
  std::unique_lock lock(restart_);
  if (connections_ != lost_connection) return {};  // another call has done it
  Status status = connect();
  if (status.ok() || status.error().code == ErrorCode::refused) return status;
  return Error{ErrorCode::unavailable, status.error().message};
}

template <typename Operation>
CK_RV Token::Connection::on_idle_session(Operation operation) {
  CK_SESSION_HANDLE session = 0;
  {
    std::lock_guard lock(pool_);
    if (!idle_.empty()) {
      session = idle_.back();
      idle_.pop_back();
    }
  }
  if (session == 0) {
    const CK_RV opened = open_session(session);
    if (opened != CKR_OK) return opened;
  }
  const CK_RV result = operation(session);
  if (result != CKR_OK) {  // it may be in the middle of an operation
    (void)(*module_)->C_CloseSession(session);
    return result;
  }
  std::lock_guard lock(pool_);
  idle_.push_back(session);
  return CKR_OK;
}

template <typename Operation>
Status Token::Connection::run(std::string_view action, Operation operation) {
  if (module_->forked())
    return make_error(ErrorCode::unavailable,
                      "the token '{}' was opened before a fork; open it in the process that uses "
                      "it",
                      label());
  bool retried = false, reconnected = false;
  for (;;) {
    uint64_t connection = 0;
    CK_RV result = CKR_TOKEN_NOT_PRESENT;
    {
      std::shared_lock lock(restart_);
      connection = connections_;
      sessions_.acquire();
      if (connected_) result = on_idle_session(operation);
      sessions_.release();
    }
    if (result == CKR_OK) return {};
    const bool stale = is_stale_handle(result);
    // SoftHSM2 has no word of its own for a full disk.
    if (is_embedded() && is_connection_lost(result) && is_disk_full(config_.softhsm_directory))
      result = CKR_DEVICE_MEMORY;
    if (reconnected || (!stale && !is_connection_lost(result)))
      return token_error(result, action, label());
    // A handle of ours may be stale because another process has destroyed its key; but a removed
    // token can look the same.
    if (stale && !std::exchange(retried, true)) continue;
    BAUTA_CHECK(reconnect(connection));
    reconnected = true;
  }
}

CK_RV Token::Connection::search(CK_SESSION_HANDLE session, std::vector<CK_ATTRIBUTE> pattern,
                                std::vector<CK_OBJECT_HANDLE>& found) const {
  const Module& module = *module_;
  CK_RV result = module->C_FindObjectsInit(session, pattern.data(), pattern.size());
  if (result != CKR_OK) return result;
  CK_ULONG count = kObjectsPerSearch;
  while (result == CKR_OK && count > 0) {
    const size_t before = found.size();
    found.resize(before + kObjectsPerSearch);
    result = module->C_FindObjects(session, found.data() + before, kObjectsPerSearch, &count);
    found.resize(before + (result == CKR_OK ? count : 0));
  }
  const CK_RV finished = module->C_FindObjectsFinal(session);
  if (result == CKR_OK) result = finished;
  if (result != CKR_OK) return result;
  // A token that was removed may look empty (SoftHSM2 without its directory does), and a key that
  // seems to be gone counts as destroyed. So ask whether the token is still there.
  CK_TOKEN_INFO info{};
  return module->C_GetTokenInfo(slot_, &info);
}

template <typename Use>
CK_RV Token::Connection::with_key(CK_SESSION_HANDLE session, const KeyId& id, bool& found,
                                  Use use) {
  CK_OBJECT_HANDLE handle = 0;
  {
    std::lock_guard lock(pool_);
    if (const auto known = handles_.find(id); known != handles_.end()) handle = known->second;
  }
  if (handle != 0) {
    found = true;
    const CK_RV result = use(handle);
    if (is_stale_handle(result)) forget(id);
    return result;
  }
  std::vector<CK_OBJECT_HANDLE> objects;
  const CK_RV result = search(session,
                              {attribute(CKA_CLASS, kSecretKey), attribute(CKA_TOKEN, kTrue),
                               attribute(CKA_KEY_TYPE, kGenericSecret), attribute(CKA_ID, id)},
                              objects);
  found = result == CKR_OK && !objects.empty();
  if (!found) return result;
  {
    std::lock_guard lock(pool_);
    handles_[id] = objects.front();
  }
  return use(objects.front());
}

Token::Token(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Token::~Token() = default;

Result<std::unique_ptr<Token>> Token::open(const TokenConfig& config) {
  BAUTA_TRY(auto module, Module::load(config.module_path));
  BAUTA_TRY(SecretBytes pin, config.pin.read());
  auto connection = std::make_unique<Connection>(config, std::move(pin), std::move(module));
  BAUTA_CHECK(connection->connect());
  return std::unique_ptr<Token>(new Token(std::move(connection)));
}

Result<std::vector<TokenKey>> Token::list_keys() {
  std::vector<TokenKey> keys;
  BAUTA_CHECK(connection_->run("list its keys", [&](CK_SESSION_HANDLE session) {
    keys.clear();
    std::vector<CK_OBJECT_HANDLE> objects;
    CK_RV result =
        connection_->search(session,
                            {attribute(CKA_CLASS, kSecretKey), attribute(CKA_TOKEN, kTrue),
                             attribute(CKA_KEY_TYPE, kGenericSecret), attribute(CKA_SIGN, kTrue)},
                            objects);
    for (size_t i = 0; result == CKR_OK && i < objects.size(); ++i) {
      std::optional<TokenKey> key;
      result = read_key(connection_->module(), session, objects[i], key);
      if (key) keys.push_back(std::move(*key));
    }
    return result;
  }));
  std::sort(keys.begin(), keys.end(), [](const TokenKey& a, const TokenKey& b) {
    return std::tie(a.label, a.id) < std::tie(b.label, b.id);
  });
  return keys;
}

Result<KeyId> Token::create_key(std::string_view label) {
  if (label.empty() || label.size() > kMaxKeyLabelSize_bytes)
    return make_error(ErrorCode::invalid_argument, "a key's label has {} bytes; give 1 to {}",
                      label.size(), kMaxKeyLabelSize_bytes);
  KeyId id;
  random_bytes(id);
  CK_ATTRIBUTE wanted[] = {attribute(CKA_CLASS, kSecretKey),
                           attribute(CKA_KEY_TYPE, kGenericSecret),
                           attribute(CKA_VALUE_LEN, kKeySize_bytes),
                           attribute(CKA_ID, id),
                           attribute(CKA_LABEL, label),
                           attribute(CKA_TOKEN, kTrue),
                           attribute(CKA_PRIVATE, kTrue),
                           attribute(CKA_SENSITIVE, kTrue),
                           attribute(CKA_EXTRACTABLE, kTrue),
                           attribute(CKA_WRAP_WITH_TRUSTED, kTrue),
                           attribute(CKA_MODIFIABLE, kFalse),
                           attribute(CKA_SIGN, kTrue),
                           attribute(CKA_VERIFY, kFalse),
                           attribute(CKA_ENCRYPT, kFalse),
                           attribute(CKA_DECRYPT, kFalse),
                           attribute(CKA_WRAP, kFalse),
                           attribute(CKA_UNWRAP, kFalse),
                           attribute(CKA_DERIVE, kFalse)};
  bool guarded = false;
  BAUTA_CHECK(connection_->run("make a key", [&](CK_SESSION_HANDLE session) {
    const Module& module = connection_->module();
    bool found = false;
    // Is it there already? Then an earlier attempt made it before the connection was lost.
    CK_RV result =
        connection_->with_key(session, id, found, [](CK_OBJECT_HANDLE) { return CKR_OK; });
    if (result == CKR_OK && !found) {
      CK_MECHANISM mechanism{CKM_GENERIC_SECRET_KEY_GEN, nullptr, 0};
      CK_OBJECT_HANDLE made = 0;
      result = module->C_GenerateKey(session, &mechanism, wanted, std::size(wanted), &made);
    }
    if (result != CKR_OK) return result;
    return connection_->with_key(session, id, found, [&](CK_OBJECT_HANDLE key) {
      CK_BBOOL sensitive = CK_FALSE, trusted_only = CK_FALSE;
      CK_ATTRIBUTE guards[] = {attribute(CKA_SENSITIVE, sensitive),
                               attribute(CKA_WRAP_WITH_TRUSTED, trusted_only)};
      const CK_RV read = module->C_GetAttributeValue(session, key, guards, std::size(guards));
      guarded = read == CKR_OK && sensitive == CK_TRUE && trusted_only == CK_TRUE;
      return read;
    });
  }));
  if (guarded) {
    BAUTA_CHECK(connection_->sync());
    return id;
  }
  BAUTA_CHECK(destroy_key(id));
  return make_error(ErrorCode::mismatch,
                    "the token '{}' does not keep a key from being read or from being wrapped by "
                    "any key at all; use another token",
                    connection_->label());
}

Result<SecretBytes> Token::derive(const KeyId& id, std::string_view purpose,
                                  std::string_view edge_id) {
  if (purpose.empty() || purpose.size() > kMaxPurposeSize_bytes ||
      edge_id.size() > kMaxEdgeIdSize_bytes)
    return make_error(ErrorCode::invalid_argument,
                      "a secret is derived for a purpose of 1 to {} bytes and an edge id of at "
                      "most {} bytes, not {} and {}",
                      kMaxPurposeSize_bytes, kMaxEdgeIdSize_bytes, purpose.size(), edge_id.size());
  ByteWriter input;
  input.text(purpose);
  input.text(edge_id);
  BAUTA_TRY(SecretBytes secret, SecretBytes::create(kDerivedSize_bytes));
  bool found = false;
  BAUTA_CHECK(connection_->run("derive a secret", [&](CK_SESSION_HANDLE session) {
    return connection_->with_key(session, id, found, [&](CK_OBJECT_HANDLE key) {
      const Module& module = connection_->module();
      CK_MECHANISM mechanism{CKM_SHA256_HMAC, nullptr, 0};
      CK_ULONG size_bytes = secret.size();
      CK_RV result = module->C_SignInit(session, &mechanism, key);
      if (result == CKR_OK)
        result = module->C_Sign(session, unconst(input.bytes()), input.bytes().size(),
                                secret.data(), &size_bytes);
      if (result == CKR_OK && size_bytes != secret.size()) return CKR_DEVICE_ERROR;
      return result;
    });
  }));
  if (!found) return not_in_token(id, connection_->label());
  return secret;
}

Status Token::destroy_key(const KeyId& id) {
  bool found = false;
  BAUTA_CHECK(connection_->run("destroy a key", [&](CK_SESSION_HANDLE session) {
    return connection_->with_key(session, id, found, [&](CK_OBJECT_HANDLE key) {
      return connection_->module()->C_DestroyObject(session, key);
    });
  }));
  connection_->forget(id);
  if (!found) return not_in_token(id, connection_->label());
  return connection_->sync();
}

}  // namespace bauta::keys
