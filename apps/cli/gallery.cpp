#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"
#include "services/rest/json.h"

namespace bauta::cli {
namespace {

// What devices are told, and what an operator asks of the disk.
Json to_json(const v1::Gallery& gallery) {
  Json json = rest::to_json(gallery);
  json["contract"]["normalisation"] = gallery.contract().normalisation();
  json["blocks"] = gallery.blocks();
  json["tail"] = gallery.tail();
  json["bytes_disk"] = gallery.bytes_disk();
  json["bytes_originals"] = gallery.bytes_originals();
  json["bytes_segments"] = gallery.bytes_segments();
  json["imported"] = gallery.bulk();
  return json;
}

std::string to_line(const v1::Gallery& gallery) {
  return fmt::format("{:<24} {:>8} subjects {:>8} references  {} {}-d  key {}\n", gallery.gallery(),
                     gallery.subjects(), gallery.references(), gallery.contract().engine(),
                     gallery.contract().dimension(), gallery.key_id());
}

}  // namespace

Result<Report> gallery_create(const CommonOptions& common, const GalleryCreateOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const v1::Gallery gallery,
            deployment->create_gallery(options.gallery, {options.engine, options.detector},
                                       options.tenant));
  return Report{to_json(gallery), to_line(gallery)};
}

Result<Report> gallery_list(const CommonOptions& common) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const v1::ListGalleriesReply reply, deployment->auth().list_galleries({}));
  Report report;
  report.json = Json::array();
  for (const v1::Gallery& gallery : reply.galleries()) {
    report.json.push_back(to_json(gallery));
    report.text += to_line(gallery);
  }
  return report;
}

Result<Report> gallery_stats(const CommonOptions& common, const std::string& name) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  v1::GetGalleryRequest request;
  request.set_gallery(name);
  BAUTA_TRY(const v1::Gallery gallery, deployment->auth().get_gallery(request));
  BAUTA_TRY(const auth::Footprint footprint, deployment->auth().measure(name));
  Report report{to_json(gallery), to_line(gallery)};
  report.json["bytes_memory"] = footprint.mapped_bytes + footprint.tail_bytes;
  report.json["bytes_mapped"] = footprint.mapped_bytes;
  report.json["bytes_tail"] = footprint.tail_bytes;
  report.json["bytes_catalogue"] = footprint.catalogue_bytes;
  report.json["load_ms"] = footprint.load_ms;
  report.json["not_compared"] = footprint.not_compared;
  const auto line = [&](const char* where, const char* kind, uint64_t bytes) {
    const double each = gallery.references() == 0 ? 0
                                                  : static_cast<double>(bytes) /
                                                        static_cast<double>(gallery.references());
    report.text +=
        fmt::format("  {:<7}{:<34}{:>16} bytes {:>10.1f} a reference\n", where, kind, bytes, each);
  };
  line("disk", "originals", gallery.bytes_originals());
  line("", "segments", gallery.bytes_segments());
  line("", "catalogue, of all galleries", footprint.catalogue_bytes);
  line("memory", "segments, mapped", footprint.mapped_bytes);
  line("", "tail", footprint.tail_bytes);
  report.text += fmt::format(
      "  {} segments; {} references in the tail, {} imported without originals, {} erased; loaded "
      "in "
      "{:.0f} ms\n",
      gallery.blocks(), gallery.tail(), gallery.bulk(), gallery.erased(), footprint.load_ms);
  if (gallery.damaged_segments() + footprint.not_compared > 0)
    report.text += fmt::format(
        "  {} segments are damaged, and {} references cannot be compared; run 'bauta gallery "
        "repair "
        "{}'\n",
        gallery.damaged_segments(), footprint.not_compared, name);
  return report;
}

Result<Report> gallery_delete(const CommonOptions& common, const GalleryDeleteOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  v1::GetGalleryRequest get;
  get.set_gallery(options.gallery);
  BAUTA_TRY(const v1::Gallery gallery, deployment->auth().get_gallery(get));
  if (!options.yes)
    return make_error(ErrorCode::refused,
                      "{} holds {} references, which nothing brings back; repeat with --yes",
                      gallery.gallery(), gallery.references());
  v1::DeleteGalleryRequest request;
  request.set_gallery(options.gallery);
  BAUTA_CHECK(deployment->auth().delete_gallery(request));
  return Report{
      {{"gallery", gallery.gallery()}, {"references", gallery.references()}},
      fmt::format("{} is deleted, with {} references\n", gallery.gallery(), gallery.references())};
}

}  // namespace bauta::cli
