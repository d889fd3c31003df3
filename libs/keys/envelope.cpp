#include "keys/envelope.h"

#include <algorithm>
#include <memory>

#include <openssl/evp.h>

#include "base/random.h"
#include "base/release.h"

namespace bauta::keys {
namespace {

constexpr std::string_view kMagic = "BAUTASEA";
constexpr uint16_t kVersion = 1;
constexpr size_t kDataKey_bytes = 32;
constexpr size_t kSalt_bytes = 16;
constexpr size_t kTag_bytes = 16;
constexpr size_t kHeader_bytes = 8 + 2 + 16 + kSalt_bytes;
constexpr size_t kWrapped_bytes = kDataKey_bytes + kTag_bytes;
constexpr uint8_t kNonce[12] = {};  // each key encrypts one message
constexpr std::string_view kWrappingPurpose = "bauta package wrapping 1";
constexpr std::string_view kContentPurpose = "bauta package content 1";

using Context = std::unique_ptr<EVP_CIPHER_CTX, Release<EVP_CIPHER_CTX_free>>;

Bytes joined(ByteView first, std::string_view second) {
  Bytes bytes(first.begin(), first.end());
  bytes.insert(bytes.end(), second.begin(), second.end());
  return bytes;
}

// A context that has taken the key and the additional data. Encrypts or decrypts.
Context begin(const SecretBytes& key, ByteView additional, bool encrypt) {
  Context context(EVP_CIPHER_CTX_new());
  int count = 0;
  const bool ready = context != nullptr &&
                     EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                       kNonce, encrypt ? 1 : 0) == 1 &&
                     EVP_CipherUpdate(context.get(), nullptr, &count, additional.data(),
                                      static_cast<int>(additional.size())) == 1;
  BAUTA_ASSERT(ready);  // fails for lack of memory alone
  return context;
}

// output: as long as the message, and the tag behind it.
void encrypt(const SecretBytes& key, ByteView additional, ByteView message,
             std::span<uint8_t> output) {
  BAUTA_ASSERT(output.size() == message.size() + kTag_bytes);
  const Context context = begin(key, additional, true);
  int count = 0;
  const bool done =
      EVP_CipherUpdate(context.get(), output.data(), &count, message.data(),
                       static_cast<int>(message.size())) == 1 &&
      EVP_CipherFinal_ex(context.get(), output.data() + message.size(), &count) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTag_bytes,
                          output.data() + message.size()) == 1;
  BAUTA_ASSERT(done);
}

// input: ciphertext and tag.
Result<SecretBytes> decrypt(const SecretBytes& key, ByteView additional, ByteView input) {
  const size_t size_bytes = input.size() - kTag_bytes;
  uint8_t tag[kTag_bytes];
  std::copy(input.end() - kTag_bytes, input.end(), tag);
  BAUTA_TRY(SecretBytes message, SecretBytes::create(size_bytes));
  const Context context = begin(key, additional, false);
  int count = 0;
  uint8_t nothing[kTag_bytes];
  if (EVP_CipherUpdate(context.get(), message.data(), &count, input.data(),
                       static_cast<int>(size_bytes)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTag_bytes, tag) == 1 &&
      EVP_CipherFinal_ex(context.get(), nothing, &count) == 1)
    return message;
  return make_error(ErrorCode::corrupt,
                    "the sealed package was changed, or it is not the one that its context says");
}

Status check_context(std::string_view context) {
  if (context.size() <= kMaxEnvelopeContext_bytes) return {};
  return make_error(ErrorCode::invalid_argument,
                    "the context of a package has {} bytes; give at most {}", context.size(),
                    kMaxEnvelopeContext_bytes);
}

struct Header {
  KeyId key{};
  Bytes salt;
};

Bytes serialize(const Header& header) {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.u16(kVersion);
  writer.raw(header.key);
  writer.raw(header.salt);
  return std::move(writer).take();
}

Result<Header> parse_header(ByteView sealed) {
  ByteReader reader(sealed, "sealed package");
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  BAUTA_TRY(const uint16_t version, reader.u16());
  if (as_text(magic) != kMagic || version != kVersion)
    return make_error(ErrorCode::corrupt, "this is not a sealed package of a known version");
  Header header;
  BAUTA_TRY(const ByteView key, reader.raw(header.key.size()));
  std::copy(key.begin(), key.end(), header.key.begin());
  BAUTA_TRY(const ByteView salt, reader.raw(kSalt_bytes));
  header.salt.assign(salt.begin(), salt.end());
  if (reader.remaining() < kWrapped_bytes + kTag_bytes ||
      reader.remaining() > kWrapped_bytes + kTag_bytes + kMaxEnvelopeContent_bytes)
    return make_error(ErrorCode::corrupt, "the sealed package is cut off or too long");
  return header;
}

Result<SecretBytes> derive_wrapping_key(KeyStore& store, const Header& header) {
  return store.derive(header.key, kWrappingPurpose, to_hex(header.salt));
}

// Header and encrypted data key.
Result<Bytes> wrap(KeyStore& store, const KeyId& key, std::string_view context,
                   const SecretBytes& data_key) {
  Header header{key, Bytes(kSalt_bytes)};
  random_bytes(header.salt);
  BAUTA_TRY(const SecretBytes wrapping_key, derive_wrapping_key(store, header));
  Bytes bytes = serialize(header);
  const Bytes additional = joined(bytes, context);
  bytes.resize(kHeader_bytes + kWrapped_bytes);
  encrypt(wrapping_key, additional, data_key.span(), std::span(bytes).subspan(kHeader_bytes));
  return bytes;
}

Result<SecretBytes> unwrap(KeyStore& store, std::string_view context, ByteView sealed) {
  BAUTA_TRY(const Header header, parse_header(sealed));
  BAUTA_TRY(const SecretBytes wrapping_key, derive_wrapping_key(store, header));
  return decrypt(wrapping_key, joined(sealed.first(kHeader_bytes), context),
                 sealed.subspan(kHeader_bytes, kWrapped_bytes));
}

}  // namespace

Result<Bytes> seal(KeyStore& store, const KeyId& key, std::string_view context, ByteView content) {
  BAUTA_CHECK(check_context(context));
  if (content.size() > kMaxEnvelopeContent_bytes)
    return make_error(ErrorCode::invalid_argument, "a package has {} bytes; give at most {}",
                      content.size(), kMaxEnvelopeContent_bytes);
  BAUTA_TRY(SecretBytes data_key, SecretBytes::create(kDataKey_bytes));
  random_bytes(data_key.span());
  BAUTA_TRY(Bytes sealed, wrap(store, key, context, data_key));
  sealed.resize(kHeader_bytes + kWrapped_bytes + content.size() + kTag_bytes);
  encrypt(data_key, joined(as_bytes(kContentPurpose), context), content,
          std::span(sealed).subspan(kHeader_bytes + kWrapped_bytes));
  return sealed;
}

Result<SecretBytes> open_sealed(KeyStore& store, std::string_view context, ByteView sealed) {
  BAUTA_CHECK(check_context(context));
  BAUTA_TRY(const SecretBytes data_key, unwrap(store, context, sealed));
  return decrypt(data_key, joined(as_bytes(kContentPurpose), context),
                 sealed.subspan(kHeader_bytes + kWrapped_bytes));
}

Result<Bytes> reseal(KeyStore& store, const KeyId& key, std::string_view context, ByteView sealed) {
  BAUTA_CHECK(check_context(context));
  BAUTA_TRY(const SecretBytes data_key, unwrap(store, context, sealed));
  BAUTA_TRY(Bytes resealed, wrap(store, key, context, data_key));
  const ByteView content = sealed.subspan(kHeader_bytes + kWrapped_bytes);
  resealed.insert(resealed.end(), content.begin(), content.end());
  return resealed;
}

Result<KeyId> sealed_under(ByteView sealed) {
  BAUTA_TRY(const Header header, parse_header(sealed));
  return header.key;
}

}  // namespace bauta::keys
