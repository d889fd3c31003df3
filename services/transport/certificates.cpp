#include "services/transport/certificates.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/random.h"
#include "base/secret.h"

namespace bauta::transport {
namespace {

namespace fs = std::filesystem;

constexpr int kAuthorityDays = 3650;
constexpr long kClockSkew_s = 300;  // certificates are valid a little earlier than now
constexpr long kDay_s = 86'400;
constexpr size_t kMaxPem_bytes = size_t{1} << 16;
constexpr size_t kMaxName_bytes = 64;  // of a common name, RFC 5280

struct Release {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
  void operator()(BIO* x) const { BIO_free_all(x); }
  void operator()(X509_EXTENSION* x) const { X509_EXTENSION_free(x); }
};
template <typename T>
using Owned = std::unique_ptr<T, Release>;

Error openssl_error(std::string_view what) {
  const unsigned long code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return make_error(ErrorCode::internal, "cannot {}: {}", what,
                    reason != nullptr ? reason : "OpenSSL does not say why");
}

Result<Owned<EVP_PKEY>> generate_key() {
  Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_error("make a key");
  return key;
}

Status add_extension(X509& certificate, X509& issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(&certificate, extension.get(), -1) != 1)
    return openssl_error(fmt::format("write '{}' into a certificate", value));
  return {};
}

// Unsigned, with subject, key, serial number and dates.
Result<Owned<X509>> begin_certificate(const std::string& common_name, EVP_PKEY& key, int days) {
  Owned<X509> certificate(X509_new());
  std::array<uint8_t, 16> serial{};
  random_bytes(serial);
  serial[0] = static_cast<uint8_t>((serial[0] & 0x7f) | 0x40);  // positive and of full length
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr), &BN_free);
  X509_NAME* const subject = certificate ? X509_get_subject_name(certificate.get()) : nullptr;
  const bool made =
      subject != nullptr && number != nullptr &&
      X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()),
                      days < 0 ? 2 * days * kDay_s : -kClockSkew_s) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), days * kDay_s) != nullptr &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) == 1 &&
      X509_set_pubkey(certificate.get(), &key) == 1;
  if (!made) return openssl_error("make a certificate");
  return certificate;
}

Result<std::string> to_pem(X509& certificate) {
  const Owned<BIO> memory(BIO_new(BIO_s_mem()));
  char* text = nullptr;
  if (memory == nullptr || PEM_write_bio_X509(memory.get(), &certificate) != 1)
    return openssl_error("write a certificate");
  const long size = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

Status write_key(const fs::path& path, EVP_PKEY& key) {
  const Owned<BIO> memory(BIO_new(BIO_s_secmem()));
  char* text = nullptr;
  if (memory == nullptr ||
      PEM_write_bio_PrivateKey(memory.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_error("write a private key");
  const long size = BIO_get_mem_data(memory.get(), &text);
  const ByteView bytes(reinterpret_cast<uint8_t*>(text), static_cast<size_t>(size));
  const Status written = write_file_atomically(path, bytes, 0600);
  wipe({reinterpret_cast<uint8_t*>(text), bytes.size()});
  return written;
}

Result<Owned<EVP_PKEY>> read_key(const fs::path& path) {
  BAUTA_TRY(Bytes bytes, read_file(path, kMaxPem_bytes));
  const Owned<BIO> memory(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
  wipe(bytes);
  ERR_clear_error();
  if (key == nullptr) return make_error(ErrorCode::corrupt, "{} cannot be read", path.string());
  return key;
}

// Keys are written before their certificates: one without is what an interrupted run left.
Result<Owned<EVP_PKEY>> kept_or_new_key(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) ? read_key(path) : generate_key();
}

struct Authority {
  Owned<X509> certificate;
  Owned<EVP_PKEY> key;
};

// Where it lies, or shall lie.
fs::path authority_key(const fs::path& directory) {
  const fs::path before = directory / "ca.key";
  std::error_code ignored;
  return fs::exists(before, ignored) ? before : directory / "ca" / "ca.key";
}

Result<Owned<X509>> read_certificate(const fs::path& path) {
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxPem_bytes));
  const Owned<BIO> memory(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  Owned<X509> certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr)
    return make_error(ErrorCode::corrupt, "{} cannot be read", path.string());
  return certificate;
}

Result<Authority> read_authority(const fs::path& directory) {
  for (const fs::path& file : {directory / "ca.pem", authority_key(directory)}) {
    std::error_code ignored;
    if (!fs::exists(file, ignored))
      return make_error(ErrorCode::not_found,
                        "there is no authority in {}; make one with 'bauta ca init'",
                        directory.string());
  }
  BAUTA_TRY(Owned<X509> certificate, read_certificate(directory / "ca.pem"));
  BAUTA_TRY(Owned<EVP_PKEY> key, read_key(authority_key(directory)));
  return Authority{std::move(certificate), std::move(key)};
}

bool is_address(const std::string& host) {
  in6_addr parsed{};
  return inet_pton(AF_INET, host.c_str(), &parsed) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &parsed) == 1;
}

bool is_server(const std::string& name) {
  return name == kAuthName || name == kKeyName || name == kStorageName;
}

Result<Party> party_of_new(const NewCertificate& certificate) {
  const Party party{certificate.role.value_or(role_of_name(certificate.name)), certificate.name};
  const std::string uri = role_uri(party);
  return party_of(std::span(&uri, 1), certificate.name);
}

// The subjectAltName of a certificate: the role, and hosts. Servers are reached under their own
// names; no edge may be.
Result<std::string> alternative_names(const NewCertificate& certificate) {
  BAUTA_TRY(const Party party, party_of_new(certificate));
  std::string names = "URI:" + role_uri(party);
  if (is_server(certificate.name)) names += ",DNS:" + certificate.name;
  for (const std::string& host : certificate.hosts) {
    const auto of_a_host = [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '.' || c == '-' || c == ':' || c == '*';
    };
    if (host.empty() || !std::all_of(host.begin(), host.end(), of_a_host))
      return make_error(ErrorCode::invalid_argument, "'{}' is not a host name or an address", host);
    if (is_server(host) || host == "*")
      return make_error(ErrorCode::invalid_argument,
                        "the host '{}' stands for one of the servers; leave it out", host);
    names += ',';
    names += is_address(host) ? "IP:" : "DNS:";
    names += host;
  }
  return names;
}

Status check_certificate_name(const std::string& name) {
  const auto of_a_name = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  };
  if (name.empty() || name.size() > kMaxName_bytes || name == "ca" ||
      std::isalnum(static_cast<unsigned char>(name[0])) == 0 ||
      !std::all_of(name.begin(), name.end(), of_a_name))
    return make_error(ErrorCode::invalid_argument,
                      "'{}' cannot name a party: 1 to {} letters, digits, '.', '-' and '_', the "
                      "first a letter or digit, and not 'ca'",
                      name, kMaxName_bytes);
  return {};
}

Status refuse_existing(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  return make_error(ErrorCode::already_exists, "{} exists already; it is not replaced",
                    path.string());
}

}  // namespace

Status create_authority(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::exists(directory, ignored)) BAUTA_CHECK(create_directory(directory, 0700));
  BAUTA_CHECK(refuse_existing(directory / "ca.pem"));
  const fs::path key_path = authority_key(directory);
  BAUTA_CHECK(create_directory(directory / "ca", 0700));
  BAUTA_TRY(const Owned<EVP_PKEY> key, kept_or_new_key(key_path));
  BAUTA_TRY(const Owned<X509> certificate,
            begin_certificate("bauta local authority", *key, kAuthorityDays));
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get())) != 1)
    return openssl_error("make a certificate");
  BAUTA_CHECK(add_extension(*certificate, *certificate, NID_basic_constraints,
                            "critical,CA:TRUE,pathlen:0"));
  BAUTA_CHECK(
      add_extension(*certificate, *certificate, NID_key_usage, "critical,keyCertSign,cRLSign"));
  BAUTA_CHECK(add_extension(*certificate, *certificate, NID_subject_key_identifier, "hash"));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0)
    return openssl_error("sign a certificate");
  BAUTA_TRY(const std::string pem, to_pem(*certificate));
  BAUTA_CHECK(write_key(key_path, *key));
  return write_file_atomically(directory / "ca.pem", as_bytes(pem));
}

namespace {

// For the owner of the key, with the alternative names.
Result<std::string> signed_pem(const Authority& authority, const NewCertificate& wanted,
                               const std::string& names, EVP_PKEY& key) {
  BAUTA_TRY(const Owned<X509> certificate, begin_certificate(wanted.name, key, wanted.days));
  X509& issuer = *authority.certificate;
  const bool serves = is_server(wanted.name) || !wanted.hosts.empty();
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(&issuer)) != 1)
    return openssl_error("make a certificate");
  BAUTA_CHECK(add_extension(*certificate, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  BAUTA_CHECK(add_extension(*certificate, issuer, NID_key_usage, "critical,digitalSignature"));
  BAUTA_CHECK(add_extension(*certificate, issuer, NID_ext_key_usage,
                            serves ? "clientAuth,serverAuth" : "clientAuth"));
  BAUTA_CHECK(add_extension(*certificate, issuer, NID_subject_alt_name, names));
  BAUTA_CHECK(add_extension(*certificate, issuer, NID_subject_key_identifier, "hash"));
  BAUTA_CHECK(add_extension(*certificate, issuer, NID_authority_key_identifier, "keyid"));
  if (X509_sign(certificate.get(), authority.key.get(), EVP_sha256()) == 0)
    return openssl_error("sign a certificate");
  return to_pem(*certificate);
}

std::string common_name(X509& certificate) {
  char name[kMaxName_bytes + 1] = {};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(&certificate), NID_commonName,
                                             name, sizeof name);
  return {name, static_cast<size_t>(std::max(size, 0))};
}

struct Names {
  std::vector<std::string> uris, hosts;
};

Names names_of(X509& certificate) {
  Names names;
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> all(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  for (int i = 0; all != nullptr && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME& name = *sk_GENERAL_NAME_value(all.get(), i);
    if (name.type != GEN_URI && name.type != GEN_DNS && name.type != GEN_IPADD) continue;
    const ASN1_STRING* const value = name.type == GEN_IPADD ? name.d.iPAddress : name.d.ia5;
    const auto size = static_cast<size_t>(ASN1_STRING_length(value));
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), size);
    if (name.type == GEN_IPADD) {
      char address[INET6_ADDRSTRLEN] = {};
      if ((size != 4 && size != 16) || inet_ntop(size == 4 ? AF_INET : AF_INET6, text.data(),
                                                 address, sizeof address) == nullptr)
        continue;
      text = address;
    }
    (name.type == GEN_URI ? names.uris : names.hosts).push_back(std::move(text));
  }
  return names;
}

}  // namespace

Result<Party> read_party(const fs::path& path) {
  BAUTA_TRY(const Owned<X509> certificate, read_certificate(path));
  return party_of(names_of(*certificate).uris, common_name(*certificate));
}

Status reissue_certificate(const fs::path& directory, const fs::path& path, int days) {
  BAUTA_TRY(const Owned<X509> before, read_certificate(path));
  NewCertificate wanted{common_name(*before), names_of(*before).hosts, days};
  std::erase_if(wanted.hosts, is_server);
  BAUTA_CHECK(check_certificate_name(wanted.name));
  if (const Result<Party> party = read_party(path); party.ok()) wanted.role = party->role;
  BAUTA_TRY(const std::string names, alternative_names(wanted));
  BAUTA_TRY(const Authority authority, read_authority(directory));
  const Owned<EVP_PKEY> key(X509_get_pubkey(before.get()));
  if (key == nullptr) return openssl_error("read a certificate's key");
  BAUTA_TRY(const std::string pem, signed_pem(authority, wanted, names, *key));
  return write_file_atomically(path, as_bytes(pem));
}

bool has_authority_key(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(authority_key(directory), ignored);
}

Status put_away_authority_key(const fs::path& directory) {
  std::error_code failed;
  if (!fs::exists(directory / "ca.key", failed)) return {};
  BAUTA_CHECK(create_directory(directory / "ca", 0700));
  fs::rename(directory / "ca.key", directory / "ca" / "ca.key", failed);
  if (failed)
    return make_error(ErrorCode::unavailable, "cannot move {} to its own folder: {}",
                      (directory / "ca.key").string(), failed.message());
  BAUTA_CHECK(sync_directory(directory / "ca"));
  return sync_directory(directory);
}

Result<TlsFiles> issue_certificate(const fs::path& directory, const NewCertificate& wanted,
                                   const fs::path& out) {
  BAUTA_CHECK(check_certificate_name(wanted.name));
  BAUTA_TRY(const std::string names, alternative_names(wanted));
  const TlsFiles files{directory / "ca.pem", out / (wanted.name + ".pem"),
                       out / (wanted.name + ".key")};
  BAUTA_CHECK(refuse_existing(files.certificate));
  BAUTA_TRY(const Authority authority, read_authority(directory));
  BAUTA_TRY(const Owned<EVP_PKEY> key, kept_or_new_key(files.private_key));
  BAUTA_TRY(const std::string pem, signed_pem(authority, wanted, names, *key));
  BAUTA_CHECK(create_directory(out, 0700));
  BAUTA_CHECK(write_key(files.private_key, *key));
  BAUTA_CHECK(write_file_atomically(files.certificate, as_bytes(pem)));
  return files;
}

}  // namespace bauta::transport
