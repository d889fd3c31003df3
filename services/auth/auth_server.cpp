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

// What a network made of an image arrives at the key service this much shorter, since longer
// templates than 1.04 do not fit; embeddings of 0.5 to 1.5 times the usual length are taken.
constexpr double kMeasuringLength = 1.5;
constexpr double kLengthSteps = 128;

uint64_t microseconds_since(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
}

// Precondition: the request has been parsed.
template <typename Request>
v1::Origin origin_of(const Request& request, const Digest& ciphertexts) {
  v1::Origin origin;
  origin.set_gallery(request.gallery());
  origin.set_edge_id(request.edge_id());
  origin.set_ciphertexts(std::string(as_text(ciphertexts)));
  *origin.mutable_ticket() = request.ticket();
  return origin;
}

void set_subject(v1::Origin& origin, const std::string& subject) {
  origin.set_subject(std::string(as_text(subject_digest(origin.gallery(), subject))));
}

Error no_face(const v1::EmbeddingContract& contract) {
  return make_error(ErrorCode::refused,
                    "the encrypted picture is too unlike a face for the network {}; take another",
                    contract.engine());
}

// Of one of several comparisons in a request: masks are never used twice.
ring::PublicSeed part_of(const ring::PublicSeed& seed, uint64_t part) {
  ByteWriter writer;
  writer.text("bauta part of a request 1");
  writer.raw(seed);
  writer.u64(part);
  return sha256(writer.bytes());
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
  const auto existing = catalogue_.find_gallery(request.gallery());
  const Error taken =
      make_error(ErrorCode::already_exists, "there is a gallery {} already", request.gallery());
  if (existing.ok() && existing->contract != serialize_contract(request.contract())) return taken;
  // The keys and the contract first: a gallery that exists can be used. One from before contracts
  // were registered gets its contract by being asked for again.
  BAUTA_CHECK(open_keys(request.key_id(), parameters));
  v1::RegisterContractRequest contract;
  contract.set_key_id(request.key_id());
  *contract.mutable_contract() = request.contract();
  *contract.mutable_origin() = origin_of(request, Digest{});
  BAUTA_CHECK(keys_.register_contract(contract));
  if (existing.ok()) return taken;
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
  if (!request.images().empty() && !request.references().empty())
    return make_error(ErrorCode::invalid_argument,
                      "an enrolment holds references or images, not both");
  v1::EnrolReply reply;
  BAUTA_TRY(const std::vector<Bytes> originals,
            request.images().empty() ? originals_of_references(gallery, request, reply)
                                     : originals_of_images(gallery, request, reply));
  BAUTA_TRY(const std::vector<store::Reference> references,
            catalogue_.enrol(gallery.row, request.subject(), originals,
                             request.add() ? store::IfEnrolled::add : store::IfEnrolled::refuse));
  if (gallery.row.generation + 1 - gallery.row.compacted >= kCompactAfterChanges)
    compactions_.add(request.gallery());
  for (const store::Reference& reference : references)
    reply.add_reference_ids(std::to_string(reference.id));
  return reply;
}

Result<std::vector<Bytes>> AuthServer::originals_of_references(const Loaded& gallery,
                                                               const v1::EnrolRequest& request,
                                                               v1::EnrolReply& reply) {
  std::vector<match::StoredReference> references;
  std::vector<Bytes> originals;
  for (const std::string& reference : request.references()) {
    BAUTA_TRY(match::StoredReference stored, gallery.keys->admit_reference(as_bytes(reference)));
    originals.push_back(match::serialize_stored_reference(gallery.keys->parameters(), stored));
    references.push_back(std::move(stored));
  }
  BAUTA_TRY(*reply.mutable_answer(),
            admit(gallery, request, ciphertexts_digest(request.references()), references));
  if (!references.empty() && reply.answer().outcome().front() == 0)
    return make_error(ErrorCode::refused,
                      "the references from edge {} are refused: one of {} is no template of the "
                      "gallery's kind and length",
                      request.edge_id(), references.size());
  return originals;
}

Result<std::vector<Bytes>> AuthServer::originals_of_images(const Loaded& gallery,
                                                           const v1::EnrolRequest& request,
                                                           v1::EnrolReply& reply) {
  BAUTA_TRY(const ImageMode::Use images, open_images(gallery, request.edge_id()));
  std::vector<circuits::Features> features;
  std::vector<match::StoredReference> shortened;
  for (const std::string& image : request.images()) {
    BAUTA_TRY(circuits::Features extracted, images.extractor().extract(as_bytes(image)));
    shortened.push_back(images.extractor().reference(extracted, kMeasuringLength));
    features.push_back(std::move(extracted));
  }
  BAUTA_TRY(*reply.mutable_answer(),
            admit(gallery, request, ciphertexts_digest(request.images()), shortened));
  std::vector<Bytes> originals;
  for (size_t i = 0; i < features.size(); ++i) {
    const auto steps = static_cast<uint8_t>(reply.answer().outcome()[i]);
    if (steps == 0) return no_face(gallery.contract);
    const double length = steps / kLengthSteps * kMeasuringLength;
    originals.push_back(match::serialize_stored_reference(
        gallery.keys->parameters(), images.extractor().reference(features[i], length)));
  }
  return originals;
}

Result<v1::Answer> AuthServer::admit(const Loaded& gallery, const v1::EnrolRequest& asked,
                                     const Digest& ciphertexts,
                                     std::span<const match::StoredReference> references) {
  v1::AdmitRequest request;
  request.set_key_id(gallery.row.key_id);
  request.set_dimension(gallery.row.dimension);
  *request.mutable_origin() = origin_of(asked, ciphertexts);
  set_subject(*request.mutable_origin(), asked.subject());
  request.mutable_origin()->set_image(!asked.images().empty());
  for (const match::StoredReference& reference : references) {
    BAUTA_TRY(const match::Admission admission, match::make_admission(*gallery.keys, reference));
    request.add_admissions(
        std::string(as_text(match::serialize_admission(gallery.keys->parameters(), admission))));
  }
  BAUTA_TRY(v1::AdmitReply reply, keys_.admit(request));
  if (reply.answer().outcome().size() < references.size())
    return make_error(ErrorCode::internal, "the key service answers for too few references");
  return std::move(*reply.mutable_answer());
}

// --- Encrypted images

Result<ImageMode::Use> AuthServer::open_images(const Loaded& gallery, const std::string& edge_id) {
  BAUTA_TRY(ImageMode::Use use, image_mode_.open(gallery.row.key_id, gallery.contract, edge_id));
  BAUTA_CHECK(ckks::check_key_id("image key set", use.extractor().gallery_key_id(),
                                 gallery.keys->key_id()));
  return use;
}

template <typename Request>
Result<match::SwitchedProbe> AuthServer::probe_of(const Request& request, const Loaded& gallery,
                                                  v1::Timings& timings) {
  if (request.image().empty()) return gallery.keys->admit_probe(as_bytes(request.probe()));
  const auto start = Clock::now();
  BAUTA_TRY(const ImageMode::Use images, open_images(gallery, request.edge_id()));
  BAUTA_TRY(const circuits::Features features,
            images.extractor().extract(as_bytes(request.image())));
  // The key service brings the scores to the length that it finds.
  match::SwitchedProbe probe = images.extractor().probe(features, kMeasuringLength);
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
                                                     const match::ScoreRequest& scores,
                                                     const ring::PublicSeed& seed) {
  const match::Parameters& parameters = gallery.keys->parameters();
  BAUTA_TRY(const match::Admission admission, match::make_admission(*gallery.keys, probe, seed));
  v1::DecideRequest request;
  request.set_key_id(gallery.row.key_id);
  request.set_dimension(gallery.row.dimension);
  *request.mutable_origin() = origin_of(asked, probe_digest(asked));
  request.mutable_origin()->set_image(!asked.image().empty());
  request.set_admission(std::string(as_text(match::serialize_admission(parameters, admission))));
  request.set_scores(std::string(as_text(match::serialize_score_request(parameters, scores))));
  return request;
}

template <typename Request>
Result<DecisionOutcome> AuthServer::decide(const Loaded& gallery, const Request& asked,
                                           const v1::DecideRequest& request, v1::Answer& answer) {
  BAUTA_TRY(v1::DecideReply reply, keys_.decide(request));
  answer = std::move(*reply.mutable_answer());
  BAUTA_TRY(DecisionOutcome outcome, parse_outcome(answer.outcome()));
  if (outcome.decision != v1::DECISION_REFUSED) return outcome;
  if (!asked.image().empty()) return no_face(gallery.contract);
  return make_error(
      ErrorCode::refused,
      "the key service refuses what edge {} has sent to gallery {}: it is no "
      "template, or a reference is none; 'bauta gallery inspect' finds a bad reference",
      asked.edge_id(), asked.gallery());
}

Result<AuthServer::Found> AuthServer::search(const Loaded& gallery,
                                             const match::SwitchedProbe& probe,
                                             const ring::PublicSeed& seed, v1::Timings& timings) {
  Found found;
  const auto search_all = [&](LoadedGallery& loaded) -> Status {
    const auto start = Clock::now();
    found.complete = loaded.check_complete();
    found.not_compared = loaded.not_compared();
    found.generation = loaded.generation();
    if (loaded.references().references() == 0) return {};
    BAUTA_TRY(found.search, loaded.references().search(probe, seed));
    found.persons = found.search->map.in_order(loaded.persons());
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
  // All that is random in what the server makes of this request.
  const ring::PublicSeed seed = ring::fresh_public_seed();
  BAUTA_TRY(const Found found, search(gallery, probe, seed, timings));
  if (found.search) {
    const auto start = Clock::now();
    BAUTA_TRY(v1::DecideRequest decide,
              decide_request(gallery, request, probe, found.search->request, seed));
    decide.set_persons(found.persons.data(), found.persons.size() * sizeof(match::Pseudonym));
    timings.set_match_us(timings.match_us() + microseconds_since(start));
    const auto sent = Clock::now();
    BAUTA_TRY(const DecisionOutcome outcome,
              this->decide(gallery, request, decide, *reply.mutable_answer()));
    timings.set_decide_us(microseconds_since(sent));
    reply.set_decision(outcome.decision);
    BAUTA_CHECK(name_candidates(gallery, found, request, outcome, reply));
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
                                   const v1::IdentifyRequest& request,
                                   const DecisionOutcome& outcome, v1::IdentifyReply& reply) {
  std::vector<std::string> subjects;
  for (uint32_t i = 0; i < outcome.candidates; ++i) {
    const DecisionOutcome::Position& position = outcome.positions[i];
    BAUTA_TRY(const uint64_t slot, found.search->map.slot({position.block, position.coefficient}));
    BAUTA_TRY(std::string subject, name_of(gallery.row, found.generation, slot));
    if (std::ranges::find(subjects, subject) == subjects.end())
      subjects.push_back(std::move(subject));
  }
  if (subjects.empty()) return {};
  if (outcome.evaluation_score != 0) {
    reply.set_evaluation_score(outcome.evaluation_score);
    reply.set_evaluation_candidate(subjects.front());
  }
  if (outcome.decision != v1::DECISION_ACCEPTED) return {};
  reply.set_subject(subjects.front());
  if (request.max_candidates() < 2) return {};
  subjects.resize(std::min<size_t>(subjects.size(), request.max_candidates()));
  reply.mutable_candidates()->Assign(subjects.begin(), subjects.end());
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
                                                const store::Subject& subject,
                                                const ring::PublicSeed& seed) {
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
    BAUTA_TRY(match::Search search, match::compare_one(*gallery.keys, probe, reference.position,
                                                       stored, part_of(seed, reference.position)));
    take(std::move(search));
  }
  if (in_bulk.empty()) return scores;
  const auto compare_bulk = [&](LoadedGallery& loaded) -> Status {
    for (const uint64_t slot : in_bulk)
      if (!loaded.references().contains(slot)) BAUTA_CHECK(loaded.check_complete());
    BAUTA_TRY(match::Search search, loaded.references().compare(probe, in_bulk, seed));
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
  const ring::PublicSeed seed = ring::fresh_public_seed();
  BAUTA_TRY(const match::ScoreRequest scores, compare(gallery, probe, subject, seed));
  BAUTA_TRY(v1::DecideRequest decide, decide_request(gallery, request, probe, scores, seed));
  decide.set_verification(true);
  set_subject(*decide.mutable_origin(), request.subject());
  reply.mutable_timings()->set_match_us(microseconds_since(start));
  const auto sent = Clock::now();
  BAUTA_TRY(const DecisionOutcome outcome,
            this->decide(gallery, request, decide, *reply.mutable_answer()));
  reply.mutable_timings()->set_decide_us(microseconds_since(sent));
  reply.set_decision(outcome.decision);
  reply.set_evaluation_score(outcome.evaluation_score);
  BAUTA_CHECK(audit(store::AuditEvent::verification, reply.decision(), request.gallery(),
                    request.subject()));
  return reply;
}

}  // namespace bauta::auth
