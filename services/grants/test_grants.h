// For tests: lists of grants signed by a key of their own.
#pragma once

#include <filesystem>
#include <memory>
#include <set>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/file.h"
#include "base/release.h"
#include "services/grants/grants.h"

namespace bauta::grants {

// Signs as a token does.
class TestSigner {
 public:
  explicit TestSigner(uint8_t id) : key_(EVP_EC_gen("P-256")) {
    uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    trusted.public_key.assign(der, der + size);
    OPENSSL_free(der);
    trusted.id[0] = id;
  }
  SignedGrants sign(const GrantList& list) const {
    SignedGrants grants{list, trusted.id, {}};
    const Digest digest = signed_digest(kGrantsPurpose, serialize(list));
    const std::unique_ptr<EVP_PKEY_CTX, Release<EVP_PKEY_CTX_free>> context(
        EVP_PKEY_CTX_new(key_.get(), nullptr));
    std::array<uint8_t, 80> der{};
    size_t size = der.size();
    BAUTA_ASSERT(EVP_PKEY_sign_init(context.get()) == 1);
    BAUTA_ASSERT(EVP_PKEY_sign(context.get(), der.data(), &size, digest.data(), digest.size()) ==
                 1);
    const uint8_t* cursor = der.data();
    const std::unique_ptr<ECDSA_SIG, Release<ECDSA_SIG_free>> parts(
        d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(size)));
    BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), grants.signature.data(), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), grants.signature.data() + 32, 32);
    return grants;
  }

  TrustedKey trusted;

 private:
  std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>> key_;
};

// A list in a file, and the view of it that servers have.
class TestGrants {
 public:
  explicit TestGrants(std::filesystem::path file) : file_(std::move(file)) {
    write();
    grants_ = Grants::open(file_, [this]() -> Result<std::vector<TrustedKey>> {
                return std::vector<TrustedKey>{signer_.trusted};
              }).value();
  }
  const Grants& grants() const { return *grants_; }
  // The servers see what change(list) makes of it when they next look.
  template <typename Change>
  void update(Change change) {
    change(list_);
    write();
  }
  void give(const std::string& edge, uint8_t rights = kAllRights, const std::string& gallery = "*",
            const std::string& tenant = "*") {
    update([&](GrantList& list) {
      BAUTA_ASSERT(list.give({edge, tenant, gallery, rights, 0, list.number}).ok());
    });
    grants_->follow();
  }

 private:
  void write() {
    ++list_.number;
    BAUTA_ASSERT(write_file_atomically(file_, serialize(signer_.sign(list_))).ok());
  }

  const std::filesystem::path file_;
  const TestSigner signer_{1};
  GrantList list_;
  std::unique_ptr<Grants> grants_;
};

}  // namespace bauta::grants
