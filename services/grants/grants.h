// Who may do what, asked at every call: a view of the newest signed list in a file, which both
// servers have. Nothing is allowed that no grant allows.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "services/grants/grant_list.h"

namespace bauta::grants {

// Whose signature counts.
struct TrustedKey {
  std::array<uint8_t, 16> id{};
  Bytes public_key;  // DER SubjectPublicKeyInfo
};

// Error corrupt unless one of the keys has signed it; `name` is that of the file or its sender.
Status check_signed(const SignedGrants& grants, const std::vector<TrustedKey>& keys,
                    const std::string& name);

// How long a change of the file may go unseen.
inline constexpr int64_t kGrantsFollow_ms = 100;

// Thread-safe. A file that is replaced is read again; when it was damaged, removed, or replaced by
// an older list, everything is refused, with that reason, until it is mended.
class Grants {
 public:
  using TrustedKeys = std::function<Result<std::vector<TrustedKey>>()>;

  // A list of a number below `least_number` is not taken, nor no file at all if that is not 0.
  // Without a file, no edge has a grant. Errors: corrupt; those of reading.
  static Result<std::unique_ptr<Grants>> open(std::filesystem::path file, TrustedKeys keys,
                                              uint64_t least_number = 0);

  // Error refused, with a sentence that names the command which gives the right. An empty tenant:
  // any, where it is not known.
  Status check(const std::string& edge, const std::string& tenant, const std::string& gallery,
               Right right) const;
  // As check(), for an edge that has any right on the gallery.
  Status check_any_right(const std::string& edge, const std::string& tenant,
                         const std::string& gallery) const;
  // As check(), for an edge that has any right on some gallery of the tenant.
  Status check_known(const std::string& edge, const std::string& tenant) const;
  // Error refused: it was revoked.
  Status check_not_revoked(const std::string& edge) const;

  // The newest list; of number 0 while there is none. Error: what everything is refused for.
  Result<std::shared_ptr<const SignedGrants>> newest() const;
  Result<std::shared_ptr<const GrantList>> list() const;
  uint64_t number() const;  // of the newest list that was read

  // Reads the file now if it was replaced.
  void follow() const;
  // Edges that are refused here, whatever the list says.
  void revoke_here(std::set<std::string> edges);

 private:
  // Tells one version of the file from every other.
  using Version = std::array<int64_t, 5>;

  Grants(std::filesystem::path file, TrustedKeys keys, uint64_t least_number)
      : file_(std::move(file)), keys_(std::move(keys)), least_number_(least_number) {}
  Status read() const;
  Status check_revoked(const GrantList& list, const std::string& edge) const;
  Status check_rights(const std::string& edge, const std::string& tenant,
                      const std::string& gallery, uint8_t any_of, const std::string& what) const;

  const std::filesystem::path file_;
  const TrustedKeys keys_;
  mutable std::atomic<int64_t> follow_at_ms_ = 0;  // by a steady clock
  mutable std::mutex mutex_;                       // guards what follows
  mutable uint64_t least_number_;
  mutable Version version_{};
  mutable Status state_;
  mutable std::shared_ptr<const SignedGrants> newest_ = std::make_shared<SignedGrants>();
  std::set<std::string> revoked_here_;
};

}  // namespace bauta::grants
