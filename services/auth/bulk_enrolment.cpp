// Enrolment of whole blocks by who operates the server.
#include "services/auth/auth_server.h"

namespace bauta::auth {
namespace {

// For another process that replaces segments just now.
constexpr int64_t kLockWait_ms = 10'000;
// To find a free block while others enrol.
constexpr int kMaxAttempts = 10;

}  // namespace

Status AuthServer::enrol_block(const v1::EnrolBlockRequest& request) {
  BAUTA_TRY(const Loaded gallery,
            find_for(request.gallery(), request.contract(), request.edge_id()));
  const store::Gallery& row = gallery.row;
  const std::shared_ptr<match::EvaluationKeys>& keys = gallery.keys;
  const std::vector<std::string> subjects(request.subjects().begin(), request.subjects().end());
  const size_t width = keys->parameters().width();
  if (subjects.empty() || subjects.size() > match::kDegree ||
      static_cast<size_t>(request.ciphertexts_size()) != width)
    return make_error(ErrorCode::invalid_argument,
                      "a block has 1 to {} subjects and {} ciphertexts, not {} and {}",
                      match::kDegree, width, subjects.size(), request.ciphertexts_size());
  match::TiledCiphertexts images(width);
  std::vector<Status> statuses(width);
  threads_.parallel_for(width, [&](size_t begin, size_t end) {
    for (size_t u = begin; u < end; ++u) {
      auto admitted = keys->admit_reference(as_bytes(request.ciphertexts(static_cast<int>(u))));
      if (!admitted.ok()) {
        statuses[u] = admitted.error();
        continue;
      }
      const auto image = to_evaluation(std::move(admitted->ciphertext));
      images.put(u, image.c0, image.c1);
    }
  });
  for (const Status& status : statuses) BAUTA_CHECK(status);

  const store::SegmentFolder folder(directory_, row.id);
  BAUTA_TRY(const FileLock lock, folder.lock(kLockWait_ms));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    BAUTA_TRY(const uint32_t block, catalogue_.next_block(row));
    store::SegmentContent content = segment_content(row, *keys, block, /*bulk=*/true);
    for (size_t j = 0; j < subjects.size(); ++j) match::set_live(content.live, j);
    const Bytes bytes = store::make_segment(content, {images.words()}, {});
    BAUTA_TRY(const std::string file, folder.write(bytes));
    const Status enrolled =
        catalogue_.enrol_block(row, {block, true, file, bytes.size()}, subjects,
                               request.add() ? store::IfEnrolled::add : store::IfEnrolled::refuse);
    if (enrolled.ok()) return {};
    folder.remove(file);
    // A single enrolment took the block's first position; the next block is free.
    if (enrolled.error().code != ErrorCode::busy) return enrolled;
  }
  return make_error(ErrorCode::busy, "gallery {} changes all the time; try again", row.name);
}

}  // namespace bauta::auth
