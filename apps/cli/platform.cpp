// The integration platform's commands: `bauta invite` and `bauta consents`. They work on the files
// of the linkage server, also while it runs.

#include "apps/cli/arguments.h"
#include "base/file.h"
#include "keys/key_file.h"
#include "services/linkage/consent_ledger.h"
#include "services/linkage/qr_code.h"
#include "services/linkage/registry.h"
#include "services/linkage/site.h"
#include "services/run/config.h"

namespace bauta::cli {
namespace {

constexpr size_t kMaxKeyFile_bytes = size_t{1} << 24;
constexpr size_t kMaxReceipt_bytes = size_t{64} << 10;

// Of a linkage server that has run. Errors: not_found; those of run::read_config.
Result<run::Config> started_platform(const CommonOptions& common) {
  const std::filesystem::path file =
      common.config.empty() ? common.data / "bauta.toml" : common.config;
  std::error_code ignored;
  if (common.config.empty() && !std::filesystem::exists(file, ignored))
    return make_error(ErrorCode::not_found,
                      "there is no platform in {}; 'bauta serve' makes and starts one",
                      common.data.string());
  BAUTA_TRY(run::Config config, run::read_config(file));
  if (!std::filesystem::exists(config.data / "linkage" / "keys.json", ignored))
    return make_error(ErrorCode::not_found,
                      "the linkage server in {} has never run; 'bauta serve' starts it",
                      config.data.string());
  return config;
}

// The public keys that the linkage server has signed with.
Result<std::vector<keys::SigningKey>> signing_keys(const run::Config& config) {
  const std::filesystem::path file = config.data / "linkage" / "keys.json";
  BAUTA_TRY(const Bytes bytes, read_file(file, kMaxKeyFile_bytes));
  BAUTA_TRY(keys::KeyFile known, keys::parse_key_file(bytes, file));
  return std::move(known.signing_keys);
}

}  // namespace

Result<Report> invite(const CommonOptions& common, const InviteOptions& options) {
  BAUTA_TRY(const run::Config config, started_platform(common));
  BAUTA_TRY(const std::unique_ptr<linkage::Registry> registry,
            linkage::Registry::open(config.data / "linkage" / "registry.sqlite"));
  BAUTA_TRY(const std::string token, linkage::new_invitation(*registry, options.hours * 3'600));
  const std::string url = linkage::invitation_url(config.linkage.public_url, token);
  BAUTA_TRY(const std::string code, linkage::qr_text(url));
  if (!options.svg.empty()) {
    BAUTA_TRY(const std::string svg, linkage::qr_svg(url));
    BAUTA_CHECK(write_file_atomically(options.svg, as_bytes(svg), 0600));
  }
  return Report{
      {{"url", url}, {"hours", options.hours}},
      fmt::format("{}\n{}\ngood for one registration, for {} hours\n", code, url, options.hours)};
}

Result<Report> consents_verify(const CommonOptions& common) {
  BAUTA_TRY(const run::Config config, started_platform(common));
  BAUTA_TRY(const auto known, signing_keys(config));
  BAUTA_TRY(const linkage::LedgerVerification verified,
            linkage::verify_ledger(config.data / "linkage" / "consents.log", known));
  return Report{{{"records", verified.records}, {"head", to_hex(verified.head)}, {"ok", true}},
                fmt::format("{} records are in order; the last one's digest is {}\n",
                            verified.records, to_hex(verified.head))};
}

Result<Report> consents_check(const CommonOptions& common, const ReceiptOptions& options) {
  BAUTA_TRY(const run::Config config, started_platform(common));
  BAUTA_TRY(const Bytes receipt, read_file(options.receipt, kMaxReceipt_bytes));
  BAUTA_TRY(const auto known, signing_keys(config));
  Result<std::string> record =
      make_error(ErrorCode::not_found, "this deployment has signed no receipt yet");
  for (const keys::SigningKey& key : known)
    if (!record.ok()) record = linkage::verify_receipt(as_text(receipt), key.public_key);
  BAUTA_TRY(const std::string found, record);
  return Report{{{"record", Json::parse(found)}, {"ok", true}},
                fmt::format("the receipt is genuine: {}\n", found)};
}

}  // namespace bauta::cli
