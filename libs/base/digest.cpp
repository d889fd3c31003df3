#include "base/digest.h"

#include <memory>

#include <openssl/evp.h>

namespace bauta {

Digest sha256(std::span<const ByteView> parts) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  Digest digest;
  bool ok = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (ByteView part : parts)
    ok = ok && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  ok = ok && EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  BAUTA_ASSERT(ok);  // SHA-256 fails only without memory
  return digest;
}

Digest sha256(ByteView bytes) {
  return sha256(std::span<const ByteView>(&bytes, 1));
}

}  // namespace bauta
