// `bauta gallery export`, `restore`, `repair` and `compact`: a gallery's files.

#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"

namespace bauta::cli {
namespace {

// Advances a bar to absolute numbers.
store::BackupProgress to_progress(Progress& progress) {
  return [&progress, done = uint64_t{0}](uint64_t references) mutable {
    progress.advance(references - std::exchange(done, references));
  };
}

}  // namespace

Result<Report> gallery_export(const CommonOptions& common, const GalleryExportOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  v1::GetGalleryRequest request;
  request.set_gallery(options.gallery);
  BAUTA_TRY(const v1::Gallery gallery, deployment->auth().get_gallery(request));
  Progress progress("exporting references", gallery.references());
  BAUTA_TRY(
      const store::BackupCounts counts,
      deployment->auth().export_gallery(options.gallery, options.file, to_progress(progress)));
  return Report{{{"gallery", options.gallery},
                 {"file", options.file.string()},
                 {"references", counts.references},
                 {"bytes", counts.bytes}},
                fmt::format("{} references of {} are in {}, {} bytes\n", counts.references,
                            options.gallery, options.file.string(), counts.bytes)};
}

Result<Report> gallery_restore(const CommonOptions& common, const GalleryRestoreOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  Progress progress("restoring references", 0);
  BAUTA_TRY(const v1::Gallery gallery,
            deployment->restore_gallery(options.gallery, options.file,
                                        {options.engine, options.detector}, to_progress(progress)));
  return Report{{{"gallery", gallery.gallery()},
                 {"subjects", gallery.subjects()},
                 {"references", gallery.references()}},
                fmt::format("{} is restored, with {} subjects and {} references\n",
                            gallery.gallery(), gallery.subjects(), gallery.references())};
}

Result<Report> gallery_repair(const CommonOptions& common, const GalleryRepairOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const auth::Compaction done,
            deployment->auth().repair(options.gallery, options.backup));
  Report report;
  report.json = {{"gallery", options.gallery},
                 {"rebuilt", done.written},
                 {"recovered", done.recovered},
                 {"lost", Json::array()}};
  report.text = fmt::format("{}: {} segments rebuilt from originals, {} taken from the backup\n",
                            options.gallery, done.written, done.recovered);
  for (const store::Segment& segment : done.lost) {
    report.json["lost"].push_back(segment.file);
    report.text += fmt::format(
        "{} is damaged and was imported, so it has no originals; repeat with --from and a backup "
        "that holds it, or erase and import it again\n",
        segment.file);
    report.exit_code = kNo;
  }
  return report;
}

Result<Report> gallery_compact(const CommonOptions& common, const std::string& gallery) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const auth::Compaction done, deployment->auth().compact(gallery));
  return Report{
      {{"gallery", gallery}, {"written", done.written}, {"dropped", done.dropped}},
      fmt::format("{}: {} segments written, {} dropped\n", gallery, done.written, done.dropped)};
}

}  // namespace bauta::cli
