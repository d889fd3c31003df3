#include "services/auth/auth_server.h"

#include <algorithm>
#include <chrono>

#include "base/file.h"
#include "match/admission.h"
#include "services/contract.h"
#include "services/ticket.h"

namespace bauta::auth {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxRelinearizationKey_bytes = size_t{16} << 20;

// Lengths are measured of templates that are this much shorter than the embedding, since longer
// ones than 1.04 are no templates; embeddings of 0.5 to 1.5 times the usual length are taken.
constexpr double kMeasuringLength = 1.5;
constexpr double kMeasuringTolerance = 0.9;
// What the rounding of a measured norm leaves of a squared norm's distance from 1.
constexpr double kImageTolerance = 0.04;

uint64_t microseconds_since(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
}

v1::Origin origin_of(const std::string& gallery, const std::string& edge_id,
                     const v1::EmbeddingContract& contract) {
  v1::Origin origin;
  origin.set_gallery(gallery);
  origin.set_edge_id(edge_id);
  origin.set_norm_tolerance(contract.norm_tolerance());
  origin.set_norm_reported(contract.norm_reported());
  return origin;
}

// The evaluation keys of one key generation for one template width.
struct KeyFiles {
  fs::path galois, relinearization;
};

KeyFiles key_files(const fs::path& directory, const std::string& key_id, size_t width) {
  const fs::path stem = directory / "keys" / fmt::format("{}-{}", key_id, width);
  return {fs::path(stem) += ".galois", fs::path(stem) += ".relinearization"};
}

}  // namespace

Result<std::unique_ptr<AuthServer>> AuthServer::open(const fs::path& directory, KeyService& keys,
                                                     size_t threads, Admission admission,
                                                     size_t image_requests) {
  BAUTA_CHECK(create_directory(directory, 0700));
  BAUTA_CHECK(create_directory(directory / "keys", 0700));
  BAUTA_TRY(store::Catalogue catalogue, store::Catalogue::open(directory / "catalogue.sqlite"));
  std::unique_ptr<AuthServer> server(
      new AuthServer(directory, std::move(catalogue), keys, threads, admission, image_requests));
  BAUTA_CHECK(server->remove_deleted_galleries());
  server->find_due_galleries();
  return server;
}

// --- Edges and keys

Status AuthServer::admit_edge(const std::string& key_id, const std::string& edge_id,
                              uint32_t dimension) {
  auto known = catalogue_.find_edge(key_id, edge_id);
  if (known.ok()) return {};
  if (known.error().code != ErrorCode::not_found) return known.error();
  v1::GetEdgeSwitchingKeyRequest request;
  request.set_key_id(key_id);
  request.set_edge_id(edge_id);
  request.set_dimension(dimension);
  BAUTA_TRY(const v1::EdgeSwitchingKey reply, keys_.get_edge_switching_key(request));
  const Status added = catalogue_.put_edge(key_id, edge_id, as_bytes(reply.key()));
  // Another process may have admitted it in the meantime.
  if (!added.ok() && added.error().code != ErrorCode::already_exists) return added;
  return {};
}

Status AuthServer::revoke_edge(const std::string& edge_id) {
  BAUTA_CHECK(catalogue_.revoke_edge(edge_id));
  image_mode_.forget();
  std::lock_guard lock(mutex_);
  loaded_.clear();  // and with them the switching keys in memory
  return {};
}

Status AuthServer::forget_key(const std::string& key_id) {
  image_mode_.forget();
  std::lock_guard lock(mutex_);
  loaded_.clear();
  std::error_code failed;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory_ / "keys", failed))
    if (entry.path().filename().string().starts_with(key_id)) files.push_back(entry.path());
  for (const fs::path& file : files)
    if (!failed) fs::remove(file, failed);
  if (failed)
    return make_error(ErrorCode::unavailable, "cannot delete the public keys in {}: {}",
                      (directory_ / "keys").string(), failed.message());
  return {};
}

Result<std::shared_ptr<match::EvaluationKeys>> AuthServer::open_keys(
    const std::string& key_id, const match::Parameters& parameters) {
  const KeyFiles files = key_files(directory_, key_id, parameters.width());
  std::error_code ignored;
  if (!fs::exists(files.galois, ignored) || !fs::exists(files.relinearization, ignored)) {
    v1::GetEvaluationKeysRequest request;
    request.set_key_id(key_id);
    request.set_dimension(static_cast<uint32_t>(parameters.dimension()));
    BAUTA_TRY(const v1::EvaluationKeys reply, keys_.get_evaluation_keys(request));
    BAUTA_CHECK(write_file_atomically(files.galois, as_bytes(reply.galois_keys())));
    BAUTA_CHECK(
        write_file_atomically(files.relinearization, as_bytes(reply.relinearization_key())));
  }
  BAUTA_TRY(const Bytes relinearization,
            read_file(files.relinearization, kMaxRelinearizationKey_bytes));
  return match::EvaluationKeys::open(parameters, files.galois, relinearization);
}

Status AuthServer::add_network(ByteView file) {
  return image_mode_.add_network(file);
}

// --- Galleries

Result<v1::Gallery> AuthServer::create_gallery(const v1::CreateGalleryRequest& request) {
  BAUTA_CHECK(store::check_name("gallery", request.gallery()));
  BAUTA_TRY(const match::Parameters parameters,
            match::Parameters::create(request.contract().dimension()));
  // The keys first: a gallery that exists can be used.
  BAUTA_CHECK(open_keys(request.key_id(), parameters));
  store::NewGallery gallery;
  gallery.name = request.gallery();
  gallery.key_id = request.key_id();
  gallery.contract = serialize_contract(request.contract());
  gallery.dimension = request.contract().dimension();
  BAUTA_TRY(const store::Gallery row, catalogue_.create_gallery(gallery));
  return describe(row);
}

Result<v1::ListGalleriesReply> AuthServer::list_galleries(const v1::ListGalleriesRequest&) {
  BAUTA_TRY(const std::vector<store::Gallery> rows, catalogue_.list_galleries());
  v1::ListGalleriesReply reply;
  for (const store::Gallery& row : rows) {
    BAUTA_TRY(*reply.add_galleries(), describe(row));
  }
  return reply;
}

Result<v1::Gallery> AuthServer::get_gallery(const v1::GetGalleryRequest& request) {
  BAUTA_TRY(const store::Gallery row, catalogue_.find_gallery(request.gallery()));
  return describe(row);
}

Result<v1::Gallery> AuthServer::describe(const store::Gallery& row) {
  BAUTA_TRY(const store::GalleryStats stats, catalogue_.stats(row));
  BAUTA_TRY(v1::EmbeddingContract contract, parse_contract(row.contract));
  v1::Gallery reply;
  reply.set_gallery(row.name);
  reply.set_key_id(row.key_id);
  *reply.mutable_contract() = std::move(contract);
  reply.set_subjects(stats.subjects);
  reply.set_references(stats.references);
  reply.set_erased(stats.erased);
  reply.set_blocks(stats.segments);
  reply.set_tail(stats.tail);
  reply.set_bytes_originals(stats.original_bytes);
  reply.set_bytes_segments(stats.segment_bytes);
  reply.set_bytes_disk(stats.original_bytes + stats.segment_bytes);
  reply.set_bulk(stats.bulk);
  const store::SegmentFolder folder(directory_, row.id);
  BAUTA_TRY(const store::SegmentSet set, catalogue_.segments(row));
  reply.set_damaged_segments(static_cast<uint64_t>(std::ranges::count_if(
      set.segments, [&](const store::Segment& segment) { return !folder.holds(segment); })));
  return reply;
}

Result<v1::DeleteGalleryReply> AuthServer::delete_gallery(const v1::DeleteGalleryRequest& request) {
  BAUTA_CHECK(catalogue_.delete_gallery(request.gallery()));
  {
    std::lock_guard lock(mutex_);
    loaded_.erase(request.gallery());
    not_compared_.erase(request.gallery());
  }
  BAUTA_CHECK(remove_deleted_galleries());
  return v1::DeleteGalleryReply();
}

Result<AuthServer::Loaded> AuthServer::find(const std::string& name) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(const store::Gallery row, catalogue_.find_gallery(name));
  const auto known = loaded_.find(name);
  if (known == loaded_.end() || known->second.row.id != row.id ||
      known->second.row.key_id != row.key_id) {
    Loaded fresh{.row = row, .contract = {}, .keys = {}, .references = {}};
    BAUTA_TRY(fresh.contract, parse_contract(row.contract));
    BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(row.dimension));
    BAUTA_TRY(fresh.keys, open_keys(row.key_id, parameters));
    fresh.references = std::make_shared<References>();
    return loaded_[name] = std::move(fresh);
  }
  Loaded gallery = known->second;
  gallery.row = row;
  return gallery;
}

Result<AuthServer::Loaded> AuthServer::find_for(const std::string& name,
                                                const v1::EmbeddingContract& contract,
                                                const std::string& edge_id) {
  BAUTA_TRY(Loaded gallery, find(name));
  BAUTA_CHECK(check_same_contract(gallery.contract, contract));
  if (admission_ == Admission::on_arrival)
    BAUTA_CHECK(admit_edge(gallery.row.key_id, edge_id, gallery.row.dimension));
  BAUTA_TRY(const store::Edge edge, catalogue_.find_edge(gallery.row.key_id, edge_id));
  BAUTA_CHECK(gallery.keys->add_edge(edge.switching_key));
  return gallery;
}

Status AuthServer::load_references(const Loaded& gallery) {
  std::unique_ptr<LoadedGallery>& loaded = gallery.references->loaded;
  if (loaded == nullptr) {
    BAUTA_TRY(loaded,
              LoadedGallery::load(catalogue_, directory_, gallery.row, gallery.keys, threads_));
  } else if (const Status followed = loaded->follow(gallery.row); !followed.ok()) {
    loaded.reset();  // half loaded is worse than not loaded
    return followed;
  }
  {
    std::lock_guard lock(mutex_);
    not_compared_[gallery.row.name] = loaded->not_compared();
  }
  return loaded->references().prepare();
}

uint64_t AuthServer::not_compared() {
  std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [gallery, references] : not_compared_) sum += references;
  return sum;
}

template <typename Use>
Status AuthServer::with_references(const Loaded& gallery, Use use) {
  References& references = *gallery.references;
  {
    std::shared_lock lock(references.mutex);
    if (references.loaded != nullptr && !references.loaded->is_behind(gallery.row))
      return use(*references.loaded);
  }
  std::unique_lock lock(references.mutex);
  BAUTA_CHECK(load_references(gallery));
  return use(*references.loaded);
}

// --- Enrolment and erasure

Result<v1::EnrolReply> AuthServer::enrol(const v1::EnrolRequest& request) {
  BAUTA_TRY(const Loaded gallery,
            find_for(request.gallery(), request.contract(), request.edge_id()));
  std::vector<match::StoredReference> admitted;
  std::vector<Bytes> originals;
  for (const std::string& reference : request.references()) {
    BAUTA_TRY(match::StoredReference stored, gallery.keys->admit_reference(as_bytes(reference)));
    originals.push_back(match::serialize_stored_reference(gallery.keys->parameters(), stored));
    admitted.push_back(std::move(stored));
  }
  BAUTA_CHECK(admit_references(gallery, request.edge_id(), admitted));
  if (!request.images().empty()) BAUTA_CHECK(add_images(gallery, request, originals));
  BAUTA_TRY(const std::vector<store::Reference> references,
            catalogue_.enrol(gallery.row, request.subject(), originals,
                             request.add() ? store::IfEnrolled::add : store::IfEnrolled::refuse));
  if (gallery.row.generation + 1 - gallery.row.compacted >= kCompactAfterChanges)
    compactions_.add(request.gallery());
  v1::EnrolReply reply;
  for (const store::Reference& reference : references)
    reply.add_reference_ids(std::to_string(reference.id));
  return reply;
}

Status AuthServer::add_images(const Loaded& gallery, const v1::EnrolRequest& request,
                              std::vector<Bytes>& originals) {
  BAUTA_TRY(const ImageMode::Use images, open_images(gallery, request.edge_id()));
  std::vector<match::StoredReference> references;
  for (const std::string& image : request.images()) {
    BAUTA_TRY(const Extracted extracted,
              extract(gallery, request.edge_id(), images.extractor(), as_bytes(image)));
    references.push_back(images.extractor().reference(extracted.features, extracted.length));
    originals.push_back(
        match::serialize_stored_reference(gallery.keys->parameters(), references.back()));
  }
  return admit_references(gallery, request.edge_id(), references, kImageTolerance);
}

Status AuthServer::admit_references(const Loaded& gallery, const std::string& edge_id,
                                    std::span<const match::StoredReference> references,
                                    double tolerance) {
  if (references.empty()) return {};
  v1::Origin origin = origin_of(gallery.row.name, edge_id, gallery.contract);
  origin.set_norm_tolerance(std::max(origin.norm_tolerance(), tolerance));
  BAUTA_TRY(const v1::AdmitReply reply, admit(gallery, origin, /*measuring=*/false, references));
  for (int i = 0; i < reply.admitted_size(); ++i)
    if (!reply.admitted(i).admitted())
      return make_error(ErrorCode::refused, "reference {} of {} from edge {} is refused: {}", i + 1,
                        references.size(), edge_id, reply.admitted(i).reason());
  return {};
}

Result<v1::AdmitReply> AuthServer::admit(const Loaded& gallery, const v1::Origin& origin,
                                         bool measuring,
                                         std::span<const match::StoredReference> references) {
  v1::AdmitRequest request;
  request.set_key_id(gallery.row.key_id);
  request.set_dimension(gallery.row.dimension);
  *request.mutable_origin() = origin;
  request.set_measuring(measuring);
  for (const match::StoredReference& reference : references) {
    BAUTA_TRY(const match::Admission admission, match::make_admission(*gallery.keys, reference));
    request.add_admissions(
        std::string(as_text(match::serialize_admission(gallery.keys->parameters(), admission))));
  }
  return keys_.admit(request);
}

// --- Encrypted images

Result<double> AuthServer::measured_length(const Loaded& gallery, const std::string& edge_id,
                                           const circuits::FeatureExtractor& extractor,
                                           const circuits::Features& features) {
  v1::Origin origin = origin_of(gallery.row.name, edge_id, gallery.contract);
  origin.set_norm_tolerance(kMeasuringTolerance);
  origin.set_norm_reported(true);
  const match::StoredReference shortened = extractor.reference(features, kMeasuringLength);
  BAUTA_TRY(const v1::AdmitReply reply,
            admit(gallery, origin, /*measuring=*/true, {&shortened, 1}));
  if (reply.admitted_size() != 1 || !reply.admitted(0).admitted())
    return make_error(ErrorCode::refused,
                      "the encrypted picture is too unlike a face for the network {}; take another",
                      gallery.contract.engine());
  return reply.admitted(0).norm() * kMeasuringLength;
}

Result<ImageMode::Use> AuthServer::open_images(const Loaded& gallery, const std::string& edge_id) {
  BAUTA_TRY(ImageMode::Use use, image_mode_.open(gallery.row.key_id, gallery.contract, edge_id));
  BAUTA_CHECK(ckks::check_key_id("image key set", use.extractor().gallery_key_id(),
                                 gallery.keys->key_id()));
  return use;
}

Result<AuthServer::Extracted> AuthServer::extract(const Loaded& gallery, const std::string& edge_id,
                                                  const circuits::FeatureExtractor& extractor,
                                                  ByteView image) {
  BAUTA_TRY(circuits::Features features, extractor.extract(image));
  BAUTA_TRY(const double length, measured_length(gallery, edge_id, extractor, features));
  return Extracted{std::move(features), length};
}

template <typename Request>
Result<match::SwitchedProbe> AuthServer::probe_of(const Request& request, const Loaded& gallery,
                                                  v1::Timings& timings) {
  if (request.image().empty()) return gallery.keys->admit_probe(as_bytes(request.probe()));
  const auto start = Clock::now();
  BAUTA_TRY(const ImageMode::Use images, open_images(gallery, request.edge_id()));
  BAUTA_TRY(const Extracted extracted,
            extract(gallery, request.edge_id(), images.extractor(), as_bytes(request.image())));
  match::SwitchedProbe probe = images.extractor().probe(extracted.features, extracted.length);
  timings.set_extract_us(microseconds_since(start));
  return probe;
}

Result<v1::EraseReply> AuthServer::erase(const v1::EraseRequest& request) {
  BAUTA_TRY(const store::Gallery row, catalogue_.find_gallery(request.gallery()));
  v1::EraseReply reply;
  BAUTA_TRY(const uint64_t references, catalogue_.retire_subject(row, request.subject()));
  reply.set_references(references);
  compactions_.add(request.gallery());
  return reply;
}

Result<Footprint> AuthServer::measure(const std::string& name) {
  BAUTA_TRY(const Loaded gallery, find(name));
  std::unique_lock lock(gallery.references->mutex);
  std::unique_ptr<LoadedGallery>& loaded = gallery.references->loaded;
  loaded.reset();
  const auto start = Clock::now();
  BAUTA_CHECK(load_references(gallery));
  Footprint footprint;
  footprint.load_ms = static_cast<double>(microseconds_since(start)) / 1000;
  footprint.mapped_bytes = loaded->mapped_bytes();
  footprint.tail_bytes = loaded->references().memory_bytes();
  footprint.not_compared = loaded->not_compared();
  BAUTA_TRY(footprint.catalogue_bytes, catalogue_.bytes_beside_originals());
  return footprint;
}

// --- Recognition

Status AuthServer::quarantine(const Loaded& gallery, const Found& found,
                              const v1::DecideReply& decided) {
  if (decided.quarantined().empty()) return {};
  std::unique_lock lock(gallery.references->mutex);
  LoadedGallery* const loaded = gallery.references->loaded.get();
  if (loaded == nullptr || loaded->generation() != found.generation) return {};
  for (const v1::Position& position : decided.quarantined()) {
    BAUTA_TRY(const uint64_t slot,
              found.search->map.slot({position.block(), position.coefficient()}));
    loaded->references().retire(slot);
  }
  return {};
}

Status AuthServer::audit(store::AuditEvent event, v1::Decision decision, const std::string& gallery,
                         const std::string& subject) {
  store::AuditEntry entry;
  entry.event = event;
  entry.outcome = decision == v1::DECISION_ACCEPTED   ? store::AuditOutcome::accepted
                  : decision == v1::DECISION_REJECTED ? store::AuditOutcome::rejected
                                                      : store::AuditOutcome::failed;
  entry.gallery = gallery;
  entry.subject = subject;
  return audit_lane_.append(entry);
}

template <typename Request>
Result<v1::DecideRequest> AuthServer::decide_request(const Loaded& gallery, const Request& asked,
                                                     const match::SwitchedProbe& probe,
                                                     const match::ScoreRequest& scores) {
  const match::Parameters& parameters = gallery.keys->parameters();
  BAUTA_TRY(const match::Admission admission, match::make_admission(*gallery.keys, probe));
  v1::DecideRequest request;
  *request.mutable_ticket() = asked.ticket();
  request.set_probe_digest(std::string(as_text(ticketed_digest(asked))));
  request.set_key_id(gallery.row.key_id);
  request.set_dimension(gallery.row.dimension);
  *request.mutable_origin() = origin_of(gallery.row.name, asked.edge_id(), gallery.contract);
  if (!asked.image().empty())
    request.mutable_origin()->set_norm_tolerance(
        std::max(gallery.contract.norm_tolerance(), kImageTolerance));
  request.set_admission(std::string(as_text(match::serialize_admission(parameters, admission))));
  request.set_scores(std::string(as_text(match::serialize_score_request(parameters, scores))));
  return request;
}

Result<AuthServer::Found> AuthServer::search(const Loaded& gallery,
                                             const match::SwitchedProbe& probe,
                                             v1::Timings& timings) {
  Found found;
  const auto search_all = [&](LoadedGallery& loaded) -> Status {
    const auto start = Clock::now();
    found.complete = loaded.check_complete();
    found.not_compared = loaded.not_compared();
    found.generation = loaded.generation();
    if (loaded.references().references() == 0) return {};
    BAUTA_TRY(found.search, loaded.references().search(probe));
    timings.set_match_us(microseconds_since(start));
    return {};
  };
  BAUTA_CHECK(with_references(gallery, search_all));
  return found;
}

Result<v1::IdentifyReply> AuthServer::identify(const v1::IdentifyRequest& request) {
  BAUTA_TRY(const Loaded gallery,
            find_for(request.gallery(), request.contract(), request.edge_id()));
  v1::IdentifyReply reply;
  v1::Timings& timings = *reply.mutable_timings();
  BAUTA_TRY(const match::SwitchedProbe probe, probe_of(request, gallery, timings));
  reply.set_decision(v1::DECISION_REJECTED);
  BAUTA_TRY(const Found found, search(gallery, probe, timings));
  if (found.search) {
    const auto start = Clock::now();
    BAUTA_TRY(v1::DecideRequest decide,
              decide_request(gallery, request, probe, found.search->request));
    decide.set_threshold(gallery.contract.threshold_identify());
    decide.set_max_candidates(request.max_candidates());
    timings.set_match_us(timings.match_us() + microseconds_since(start));
    const auto sent = Clock::now();
    BAUTA_TRY(const v1::DecideReply decided, keys_.decide(decide));
    timings.set_decide_us(microseconds_since(sent));
    reply.set_decision(decided.decision());
    BAUTA_CHECK(quarantine(gallery, found, decided));
    BAUTA_CHECK(name_candidates(gallery, found, decided, reply));
  }
  reply.set_not_compared(found.not_compared);
  // Nobody found is an answer only if everybody was compared.
  if (reply.decision() == v1::DECISION_REJECTED && !found.complete.ok()) {
    BAUTA_CHECK(
        audit(store::AuditEvent::identification, v1::DECISION_UNSPECIFIED, request.gallery(), ""));
    return found.complete.error();
  }
  BAUTA_CHECK(audit(store::AuditEvent::identification, reply.decision(), request.gallery(),
                    reply.subject()));
  return reply;
}

Status AuthServer::name_candidates(const Loaded& gallery, const Found& found,
                                   const v1::DecideReply& decided, v1::IdentifyReply& reply) {
  const auto subject_at = [&](match::Position position) -> Result<std::string> {
    BAUTA_TRY(const uint64_t slot, found.search->map.slot(position));
    return name_of(gallery.row, found.generation, slot);
  };
  for (const v1::Position& position : decided.candidates()) {
    BAUTA_TRY(const std::string subject, subject_at({position.block(), position.coefficient()}));
    if (std::ranges::find(reply.candidates(), subject) == reply.candidates().end())
      reply.add_candidates(subject);
  }
  if (decided.decision() != v1::DECISION_ACCEPTED && !decided.has_evaluation_score()) return {};
  BAUTA_TRY(const std::string subject, subject_at({decided.block(), decided.coefficient()}));
  if (decided.decision() == v1::DECISION_ACCEPTED) reply.set_subject(subject);
  if (decided.has_evaluation_score()) {
    reply.set_evaluation_score(decided.evaluation_score());
    reply.set_evaluation_candidate(subject);
  }
  return {};
}

Result<std::string> AuthServer::name_of(const store::Gallery& gallery, uint64_t generation,
                                        uint64_t slot) {
  const auto holder = catalogue_.find_holder(gallery, static_cast<uint32_t>(slot));
  if (holder.ok() && holder->generation <= generation) return holder->subject;
  if (!holder.ok() && holder.error().code != ErrorCode::not_found) return holder.error();
  return make_error(ErrorCode::busy,
                    "whoever was found in gallery {} was erased at the same moment; try again",
                    gallery.name);
}

Result<match::ScoreRequest> AuthServer::compare(const Loaded& gallery,
                                                const match::SwitchedProbe& probe,
                                                const store::Subject& subject) {
  match::ScoreRequest scores{.key_id = gallery.keys->key_id(), .blocks = {}};
  const auto take = [&scores](match::Search&& search) {
    for (match::ScoreBlock& block : search.request.blocks)
      scores.blocks.push_back(std::move(block));
  };
  std::vector<uint64_t> in_bulk;
  for (const store::Reference& reference : subject.references) {
    if (reference.bulk) {
      in_bulk.push_back(reference.position);
      continue;
    }
    BAUTA_TRY(const Bytes original, catalogue_.read_original(gallery.row, reference.id));
    BAUTA_TRY(const match::StoredReference stored,
              match::parse_stored_reference(gallery.keys->parameters(), original));
    BAUTA_TRY(match::Search search,
              match::compare_one(*gallery.keys, probe, reference.position, stored));
    take(std::move(search));
  }
  if (in_bulk.empty()) return scores;
  const auto compare_bulk = [&](LoadedGallery& loaded) -> Status {
    for (const uint64_t slot : in_bulk)
      if (!loaded.references().contains(slot)) BAUTA_CHECK(loaded.check_complete());
    BAUTA_TRY(match::Search search, loaded.references().compare(probe, in_bulk));
    take(std::move(search));
    return {};
  };
  BAUTA_CHECK(with_references(gallery, compare_bulk));
  return scores;
}

Result<v1::VerifyReply> AuthServer::verify(const v1::VerifyRequest& request) {
  BAUTA_TRY(const Loaded gallery,
            find_for(request.gallery(), request.contract(), request.edge_id()));
  BAUTA_TRY(const store::Subject subject, catalogue_.find_subject(gallery.row, request.subject()));
  v1::VerifyReply reply;
  BAUTA_TRY(const match::SwitchedProbe probe, probe_of(request, gallery, *reply.mutable_timings()));
  const auto start = Clock::now();
  BAUTA_TRY(const match::ScoreRequest scores, compare(gallery, probe, subject));
  BAUTA_TRY(v1::DecideRequest decide, decide_request(gallery, request, probe, scores));
  decide.set_verification(true);
  decide.set_threshold(gallery.contract.threshold_verify());
  reply.mutable_timings()->set_match_us(microseconds_since(start));
  const auto sent = Clock::now();
  BAUTA_TRY(const v1::DecideReply decided, keys_.decide(decide));
  reply.mutable_timings()->set_decide_us(microseconds_since(sent));
  reply.set_decision(decided.decision());
  reply.set_evaluation_score(decided.evaluation_score());
  BAUTA_CHECK(audit(store::AuditEvent::verification, reply.decision(), request.gallery(),
                    request.subject()));
  return reply;
}

}  // namespace bauta::auth
