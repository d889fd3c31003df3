// A local certificate authority: `bauta ca`.

#include "services/transport/certificates.h"

#include "apps/cli/arguments.h"

namespace bauta::cli {
namespace {

std::filesystem::path authority_directory(const CommonOptions& common, const CaOptions& options) {
  return options.directory.empty() ? common.data / "tls" : options.directory;
}

}  // namespace

Result<Report> ca_init(const CommonOptions& common, const CaOptions& options) {
  const std::filesystem::path directory = authority_directory(common, options);
  BAUTA_CHECK(transport::create_authority(directory));
  const std::string certificate = (directory / "ca.pem").string();
  return Report{{{"certificate", certificate}},
                fmt::format("{} is the certificate of a new authority; keep ca/ca.key beside "
                            "it secret\n",
                            certificate)};
}

Result<Report> ca_issue(const CommonOptions& common, const CaOptions& options) {
  const std::filesystem::path directory = authority_directory(common, options);
  const std::filesystem::path out = options.out.empty() ? directory : options.out;
  transport::TlsFiles files{directory / "ca.pem", out / (options.name + ".pem"),
                            out / (options.name + ".key")};
  if (options.replace) {
    BAUTA_CHECK(transport::reissue_certificate(directory, files.certificate, options.days));
  } else {
    transport::NewCertificate wanted{options.name, options.hosts, options.days};
    if (!options.role.empty()) {
      BAUTA_TRY(wanted.role, transport::parse_role(options.role));
    }
    BAUTA_TRY(files, transport::issue_certificate(directory, wanted, out));
  }
  return Report{
      {{"certificate", files.certificate.string()}, {"private_key", files.private_key.string()}},
      fmt::format("{} and {} are issued for {}\n", files.certificate.string(),
                  files.private_key.string(), options.name)};
}

}  // namespace bauta::cli
