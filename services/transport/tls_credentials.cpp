#include "services/transport/tls_credentials.h"

#include <cstdlib>

#include <grpc/support/log.h>
#include <sys/stat.h>

#include "base/file.h"
#include "services/transport/certificates.h"

namespace bauta::transport {
namespace {

constexpr size_t kMaxPem_bytes = size_t{1} << 20;

Result<std::string> read_pem(const std::filesystem::path& path) {
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxPem_bytes));
  std::string text(as_text(bytes));
  if (text.find("-----BEGIN ") == std::string::npos)
    return make_error(ErrorCode::invalid_argument, "{} is not a PEM file", path.string());
  return text;
}

struct TlsTexts {
  std::string authority, certificate, private_key;
};

// gRPC writes every failed handshake to stderr, also those that a scanner of ports provokes;
// whoever calls learns of failures by Error.
void quiet_grpc() {
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
}

Result<TlsTexts> read_tls(const TlsFiles& files) {
  quiet_grpc();
  TlsTexts texts;
  BAUTA_TRY(texts.authority, read_pem(files.authority));
  BAUTA_TRY(texts.certificate, read_pem(files.certificate));
  BAUTA_TRY(texts.private_key, read_pem(files.private_key));
  struct stat status {};
  if (stat(files.private_key.c_str(), &status) == 0 && (status.st_mode & 0077) != 0)
    return make_error(ErrorCode::refused,
                      "{} can be read by others than its owner; correct it with 'chmod 600'",
                      files.private_key.string());
  BAUTA_CHECK(read_party(files.certificate));
  return texts;
}

}  // namespace

Result<std::shared_ptr<grpc::ChannelCredentials>> client_credentials(const TlsFiles& files) {
  BAUTA_TRY(TlsTexts texts, read_tls(files));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = std::move(texts.authority);
  options.pem_cert_chain = std::move(texts.certificate);
  options.pem_private_key = std::move(texts.private_key);
  return grpc::SslCredentials(options);
}

Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const TlsFiles& files) {
  BAUTA_TRY(TlsTexts texts, read_tls(files));
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = std::move(texts.authority);
  options.pem_key_cert_pairs.push_back(
      {std::move(texts.private_key), std::move(texts.certificate)});
  return grpc::SslServerCredentials(options);
}

}  // namespace bauta::transport
