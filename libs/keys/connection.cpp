#include "keys/connection.h"

#include <chrono>
#include <thread>
#include <utility>

namespace bauta::keys {
namespace {

constexpr int kRestartsWhileWritten = 5;
constexpr size_t kObjectsPerSearch = 64;

}  // namespace

Status Connection::connect() {
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
Status Connection::start_embedded() {
  BAUTA_CHECK(select_softhsm_directory(config_.softhsm_directory));
  BAUTA_TRY(const FileLock lock, lock_softhsm_directory(config_.softhsm_directory));
  BAUTA_CHECK(mend_token_files(config_.softhsm_directory));
  Status status = start();
  for (int retry = 0; !status.ok() && retry < kRestartsWhileWritten; ++retry) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    status = start();
  }
  // Without a copy the token works all the same; the next login tries again.
  if (status.ok()) (void)keep_token_files(config_.softhsm_directory);
  return status;
}

Status Connection::start() {
  disconnect();
  if (const CK_RV result = module_->initialise(); result != CKR_OK)
    return make_error(ErrorCode::unavailable,
                      "the PKCS#11 module {} does not start (error {:#x}); see the system log",
                      module_->path().string(), result);
  return log_in();
}

Status Connection::log_in() {
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
    result = (*module_)->C_Login(login_session_, CKU_USER, const_cast<uint8_t*>(pin_.data()),
                                 pin_.size());
  if (result == CKR_OK || result == CKR_USER_ALREADY_LOGGED_IN) return {};
  return token_error(result, "log in", label());
}

void Connection::disconnect() {
  module_->finalise();
  connected_ = false;
  std::lock_guard lock(pool_);
  idle_.clear();
  handles_.clear();
}

Status Connection::reconnect(uint64_t lost_connection) {
  std::unique_lock lock(restart_);
  if (connections_ != lost_connection) return {};  // another call has done it
  Status status = connect();
  if (status.ok() || status.error().code == ErrorCode::refused) return status;
  return Error{ErrorCode::unavailable, status.error().message};
}

CK_RV Connection::open_session(CK_SESSION_HANDLE& session) {
  return (*module_)->C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                                   &session);
}

CK_RV Connection::on_idle_session(const Operation& operation) {
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

Status Connection::run(std::string_view action, const Operation& operation) {
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

CK_RV Connection::search(CK_SESSION_HANDLE session, const Kind& kind,
                         std::vector<CK_ATTRIBUTE> pattern,
                         std::vector<CK_OBJECT_HANDLE>& found) const {
  const Module& module = *module_;
  pattern.push_back(attribute(CKA_CLASS, kind.object_class));
  pattern.push_back(attribute(CKA_KEY_TYPE, kind.key_type));
  pattern.push_back(attribute(CKA_TOKEN, kTrue));
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

CK_RV Connection::with_key(CK_SESSION_HANDLE session, const Kind& kind, const KeyId& id,
                           bool& found, const Use& use) {
  CK_OBJECT_HANDLE handle = 0;
  {
    std::lock_guard lock(pool_);
    if (const auto known = handles_.find({kind, id}); known != handles_.end())
      handle = known->second;
  }
  if (handle != 0) {
    found = true;
    const CK_RV result = use(handle);
    if (is_stale_handle(result)) forget(kind, id);
    return result;
  }
  std::vector<CK_OBJECT_HANDLE> objects;
  const CK_RV result = search(session, kind, {attribute(CKA_ID, id)}, objects);
  found = result == CKR_OK && !objects.empty();
  if (!found) return result;
  {
    std::lock_guard lock(pool_);
    handles_[{kind, id}] = objects.front();
  }
  return use(objects.front());
}

void Connection::forget(const Kind& kind, const KeyId& id) {
  std::lock_guard lock(pool_);
  handles_.erase({kind, id});
}

CK_RV Connection::read_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                           std::optional<TokenKey>& key) const {
  TokenKey read{};
  char label[kMaxKeyLabelSize_bytes];
  CK_ATTRIBUTE wanted[] = {{CKA_ID, read.id.data(), read.id.size()},
                           {CKA_LABEL, label, sizeof label}};
  const CK_RV result = (*module_)->C_GetAttributeValue(session, object, wanted, std::size(wanted));
  if (result == CKR_BUFFER_TOO_SMALL || result == CKR_ATTRIBUTE_TYPE_INVALID) return CKR_OK;
  if (result != CKR_OK || wanted[0].ulValueLen != read.id.size()) return result;
  read.label.assign(label, wanted[1].ulValueLen);
  key = std::move(read);
  return CKR_OK;
}

Status Connection::sync() const {
  return is_embedded() ? sync_softhsm_directory(config_.softhsm_directory) : Status{};
}

}  // namespace bauta::keys
