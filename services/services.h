// What the parties offer one another, one method per rpc of proto/bauta/v1. Implemented by the
// servers themselves, so that one process can hold several parties; a caller cannot tell which it
// has.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "bauta/v1/auth.pb.h"
#include "bauta/v1/key.pb.h"
#include "bauta/v1/platform.pb.h"

namespace bauta {

// Thread-safe. Every request either succeeds wholly or changes nothing.
class AuthService {
 public:
  virtual ~AuthService() = default;
  virtual Result<v1::Gallery> create_gallery(const v1::CreateGalleryRequest& request) = 0;
  virtual Result<v1::ListGalleriesReply> list_galleries(
      const v1::ListGalleriesRequest& request) = 0;
  virtual Result<v1::Gallery> get_gallery(const v1::GetGalleryRequest& request) = 0;
  virtual Result<v1::DeleteGalleryReply> delete_gallery(
      const v1::DeleteGalleryRequest& request) = 0;
  virtual Result<v1::EnrolReply> enrol(const v1::EnrolRequest& request) = 0;
  virtual Result<v1::EraseReply> erase(const v1::EraseRequest& request) = 0;
  virtual Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& request) = 0;
  virtual Result<v1::VerifyReply> verify(const v1::VerifyRequest& request) = 0;
  virtual Result<v1::Renewal> renew_gallery(const v1::RenewGalleryRequest& request) = 0;
};

// What the authentication server may ask of the key service. Thread-safe.
class KeyService {
 public:
  virtual ~KeyService() = default;
  virtual Result<v1::EvaluationKeys> get_evaluation_keys(
      const v1::GetEvaluationKeysRequest& request) = 0;
  virtual Result<v1::EdgeSwitchingKey> get_edge_switching_key(
      const v1::GetEdgeSwitchingKeyRequest& request) = 0;
  virtual Result<v1::ImageKeys> get_image_keys(const v1::GetImageKeysRequest& request) = 0;
  virtual Result<v1::RenewalKey> get_renewal_key(const v1::GetRenewalKeyRequest& request) = 0;
  virtual Result<v1::GetGrantsReply> get_grants(const v1::GetGrantsRequest& request) = 0;
  virtual Result<v1::GetSuccessorReply> get_successor(const v1::GetSuccessorRequest& request) = 0;
  // Errors: refused, not signed by an edge that may; invalid_argument, the key service does not
  // judge by such thresholds.
  virtual Result<v1::RegisterContractReply> register_contract(
      const v1::RegisterContractRequest& request) = 0;
  // A refused template is an answer. Errors, both: refused (no ticket, a spent one, somebody
  // locked); unavailable when the key's budget is spent; busy.
  virtual Result<v1::AdmitReply> admit(const v1::AdmitRequest& request) = 0;
  virtual Result<v1::DecideReply> decide(const v1::DecideRequest& request) = 0;
  // Error refused: that person is locked, and must not be named to an edge.
};

// The purpose of an edge's ring secret: what the key service derives its seed for, and what the
// edge expands it for. Persistent: another purpose is another key (docs/formats/key-derivation.md).
inline constexpr std::string_view kEdgeSecretPurpose = "bauta edge ring secret 1";

// What an edge expands the same seed for in image mode, for the image ring of so many levels: one
// secret for each set of moduli, since together they would be beyond what security allows.
inline std::string edge_image_purpose(size_t levels) {
  return "bauta edge image secret 1, " + std::to_string(levels) + " levels";
}

// What an edge may ask of the key service itself. Thread-safe.
class EdgeKeyService {
 public:
  virtual ~EdgeKeyService() = default;
  // The key under which the tenant's new galleries are created.
  virtual Result<v1::ActiveKey> get_active_key(const v1::GetActiveKeyRequest& request) = 0;
  // The edge's own secret, once; whoever transports it makes sure that the caller is that edge.
  // Error refused: it has been delivered before.
  virtual Result<v1::EdgeKey> get_edge_key(const v1::GetEdgeKeyRequest& request) = 0;
};

// What the linkage server may collect from an authentication server. Thread-safe.
class CollectionService {
 public:
  virtual ~CollectionService() = default;
  virtual Result<v1::ReadLogReply> read_log(const v1::ReadLogRequest& request) = 0;
  virtual Result<v1::GalleryBackup> export_gallery(const v1::ExportGalleryRequest& request) = 0;
};

// What the linkage server may see of a key service. Thread-safe.
class OversightService {
 public:
  virtual ~OversightService() = default;
  // Every key that the tenant ever had.
  virtual Result<v1::ListKeysReply> list_keys(const v1::ListKeysRequest& request) = 0;
  // Error corrupt: the decision log was changed, cut or damaged.
  virtual Result<v1::CheckDecisionsReply> check_decisions(
      const v1::CheckDecisionsRequest& request) = 0;
};

// What the linkage server keeps at the storage server. Thread-safe; a change that is answered is
// durable.
class StorageService {
 public:
  virtual ~StorageService() = default;
  // Fine when the same bytes are there already. Error already_exists: others are.
  virtual Result<v1::PutPackageReply> put_package(const v1::PutPackageRequest& request) = 0;
  virtual Result<v1::Package> get_package(const v1::GetPackageRequest& request) = 0;
  // Also overwrites its bytes. Fine when it is not there.
  virtual Result<v1::DeletePackageReply> delete_package(
      const v1::DeletePackageRequest& request) = 0;
  // Error mismatch: a record differs from the one that is there, or leaves a gap.
  virtual Result<v1::AppendLogReply> append_log(const v1::AppendLogRequest& request) = 0;
  virtual Result<v1::FindLogReply> find_log(const v1::FindLogRequest& request) = 0;
  virtual Result<v1::PutBackupReply> put_backup(const v1::PutBackupRequest& request) = 0;
  virtual Result<v1::ListBackupsReply> list_backups(const v1::ListBackupsRequest& request) = 0;
  virtual Result<v1::GalleryBackup> get_backup(const v1::GetBackupRequest& request) = 0;
  virtual Result<v1::DeleteBackupReply> delete_backup(const v1::DeleteBackupRequest& request) = 0;
};

}  // namespace bauta
