// An authentication server's place on the way to another: tests override what they watch or damage.
#pragma once

#include "services/services.h"

namespace bauta {

class ForwardingAuth : public AuthService {
 public:
  explicit ForwardingAuth(AuthService& auth) : auth_(auth) {}

  Result<v1::Gallery> create_gallery(const v1::CreateGalleryRequest& r) override {
    return auth_.create_gallery(r);
  }
  Result<v1::ListGalleriesReply> list_galleries(const v1::ListGalleriesRequest& r) override {
    return auth_.list_galleries(r);
  }
  Result<v1::Gallery> get_gallery(const v1::GetGalleryRequest& r) override {
    return auth_.get_gallery(r);
  }
  Result<v1::DeleteGalleryReply> delete_gallery(const v1::DeleteGalleryRequest& r) override {
    return auth_.delete_gallery(r);
  }
  Result<v1::EnrolReply> enrol(const v1::EnrolRequest& r) override { return auth_.enrol(r); }
  Result<v1::EraseReply> erase(const v1::EraseRequest& r) override { return auth_.erase(r); }
  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& r) override {
    return auth_.identify(r);
  }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest& r) override { return auth_.verify(r); }
  Result<v1::Renewal> renew_gallery(const v1::RenewGalleryRequest& r) override {
    return auth_.renew_gallery(r);
  }

 private:
  AuthService& auth_;
};

}  // namespace bauta
