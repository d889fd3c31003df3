// The servers behind an edge, for tests: what a test does not ask for is an error.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "services/rest/rest_api.h"

namespace bauta::rest {

class FakeAuth final : public AuthService {
 public:
  // Called by delete_gallery, with the gallery's name.
  std::function<Status(const std::string&)> on_delete;

  Result<v1::Gallery> create_gallery(const v1::CreateGalleryRequest&) override { return none(); }
  Result<v1::ListGalleriesReply> list_galleries(const v1::ListGalleriesRequest&) override {
    return none();
  }
  Result<v1::Gallery> get_gallery(const v1::GetGalleryRequest&) override { return none(); }
  Result<v1::DeleteGalleryReply> delete_gallery(const v1::DeleteGalleryRequest& request) override {
    BAUTA_CHECK(on_delete(request.gallery()));
    return v1::DeleteGalleryReply();
  }
  Result<v1::EnrolReply> enrol(const v1::EnrolRequest&) override { return none(); }
  Result<v1::EraseReply> erase(const v1::EraseRequest&) override { return none(); }
  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest&) override { return none(); }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest&) override { return none(); }
  Result<v1::Renewal> renew_gallery(const v1::RenewGalleryRequest&) override { return none(); }

 private:
  static Error none() { return make_error(ErrorCode::unavailable, "not of this test"); }
};

class FakeEdgeKeys final : public EdgeKeyService {
 public:
  Result<v1::ActiveKey> get_active_key(const v1::GetActiveKeyRequest&) override {
    return make_error(ErrorCode::unavailable, "not of this test");
  }
  Result<v1::EdgeKey> get_edge_key(const v1::GetEdgeKeyRequest&) override {
    return make_error(ErrorCode::unavailable, "not of this test");
  }
};

// An interface over fake servers, with the API key "secret" for everything.
class FakeEdge {
 public:
  explicit FakeEdge(RestLimits limits = {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "bauta-rest-XXXXXX").string();
    directory = mkdtemp(pattern.data());
    const DeskOptions options{"edge", "default", "classic", "haar", directory / "keys"};
    desk_ = Desk::open(options, auth, keys_).value();
    const std::vector<Caller> callers{{"all", Access::admin, sha256(as_bytes("secret"))}};
    api = std::make_unique<RestApi>(*desk_, callers, limits);
  }
  ~FakeEdge() { std::filesystem::remove_all(directory); }
  FakeEdge(const FakeEdge&) = delete;
  FakeEdge& operator=(const FakeEdge&) = delete;

  std::filesystem::path directory;
  FakeAuth auth;
  std::unique_ptr<RestApi> api;

 private:
  FakeEdgeKeys keys_;
  std::unique_ptr<Desk> desk_;
};

}  // namespace bauta::rest
