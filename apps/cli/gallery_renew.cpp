// `bauta gallery renew` and `rewrite`: a gallery under the active key of its tenant, and imported
// blocks without what was erased in them.

#include <chrono>

#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"

namespace bauta::cli {

Result<Report> gallery_renew(const CommonOptions& common, const std::string& name) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  v1::GetGalleryRequest request;
  request.set_gallery(name);
  BAUTA_TRY(const v1::Gallery gallery, deployment->auth().get_gallery(request));
  keys::KeyStore& store = deployment->key().store();
  BAUTA_TRY(const keys::KeyId id, key::parse_key_id(gallery.key_id()));
  BAUTA_TRY(const keys::KeyRecord from, store.find(id));
  BAUTA_TRY(const keys::KeyRecord to, store.active(from.tenant));
  const auto start = std::chrono::steady_clock::now();
  auth::RenewalCounts counts;
  {
    Progress progress("renewing references", gallery.references());
    BAUTA_TRY(counts,
              deployment->auth().renew(
                  name, to_hex(to.id),
                  {.progress = [&progress, done = uint64_t{0}](uint64_t references) mutable {
                    progress.advance(references - std::exchange(done, references));
                  }}));
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const uint64_t renewed = counts.originals + counts.imported;
  const double per_second = static_cast<double>(renewed) / seconds;
  Report report;
  report.json = {
      {"gallery", name},       {"from_key_id", to_hex(from.id)},     {"key_id", to_hex(to.id)},
      {"references", renewed}, {"imported", counts.imported},        {"segments", counts.segments},
      {"seconds", seconds},    {"references_per_second", per_second}};
  if (from.id == to.id)
    report.text = fmt::format("{} is under key {} of tenant {}, the active one\n", name,
                              to.generation, to.tenant);
  else
    report.text = fmt::format(
        "{} is under key {} of tenant {}: {} references were renewed in {:.1f} s ({:.0f} a "
        "second); "
        "nothing of it is left under key {}\n",
        name, to.generation, to.tenant, renewed, seconds, per_second, from.generation);
  return report;
}

Result<Report> gallery_rewrite(const CommonOptions& common, const std::string& name) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  v1::GetGalleryRequest request;
  request.set_gallery(name);
  BAUTA_TRY(const v1::Gallery gallery, deployment->auth().get_gallery(request));
  const auto rewrite_block = [&](const match::TiledCiphertexts& images,
                                 std::span<const uint32_t> coefficients) {
    return deployment->key().rewrite_block(name, gallery.key_id(), gallery.contract().dimension(),
                                           images, coefficients);
  };
  BAUTA_TRY(const auth::Rewriting done, deployment->auth().rewrite(name, rewrite_block));
  return Report{{{"gallery", name},
                 {"references", done.references},
                 {"rewritten", done.rewritten},
                 {"dropped", done.dropped}},
                fmt::format("{}: {} erased references are gone from {} blocks that were rewritten "
                            "and {} that were dropped\n",
                            name, done.references, done.rewritten, done.dropped)};
}

}  // namespace bauta::cli
