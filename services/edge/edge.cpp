#include "services/edge/edge.h"

#include <chrono>

#include "circuits/image_ciphertext.h"
#include "match/bulk.h"
#include "match/template_ciphertext.h"
#include "match/template_codec.h"
#include "network/evaluation.h"
#include "secret/encryption.h"
#include "services/contract.h"

namespace bauta::edge {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// What shows a face, be it an embedding, is wiped at the end of the scope that encrypts it.
template <typename Element>
class WipeAtEnd {
 public:
  explicit WipeAtEnd(std::vector<Element>& values) : values_(values) {}
  WipeAtEnd(const WipeAtEnd&) = delete;
  WipeAtEnd& operator=(const WipeAtEnd&) = delete;
  ~WipeAtEnd() {
    wipe({reinterpret_cast<uint8_t*>(values_.data()), values_.size() * sizeof(Element)});
  }

 private:
  std::vector<Element>& values_;
};

Recognition to_recognition(const v1::IdentifyReply& reply) {
  Recognition recognition;
  recognition.decision = reply.decision();
  recognition.subject = reply.subject();
  recognition.not_compared = reply.not_compared();
  recognition.candidates.assign(reply.candidates().begin(), reply.candidates().end());
  recognition.evaluation_candidate = reply.evaluation_candidate();
  recognition.evaluation_score = reply.evaluation_score();
  return recognition;
}

Recognition to_recognition(const v1::VerifyReply& reply) {
  Recognition recognition;
  recognition.decision = reply.decision();
  recognition.evaluation_score = reply.evaluation_score();
  return recognition;
}

// Of the engine, which has looked at the face.
bool is_refusal(const Status& status) {
  return !status.ok() && status.error().code == ErrorCode::refused;
}

// Without asking the server.
Recognition rejection(const Error& refusal, Timings timings, Clock::time_point start) {
  timings.total = milliseconds_since(start);
  Recognition recognition;
  recognition.decision = v1::DECISION_REJECTED;
  recognition.reason = refusal.message;
  recognition.timings = timings;
  return recognition;
}

void add_timings(const v1::Timings& from, Timings& to) {
  if (from.extract_us() > 0) to.extract = static_cast<double>(from.extract_us()) / 1000;
  to.match = static_cast<double>(from.match_us()) / 1000;
  to.decide = static_cast<double>(from.decide_us()) / 1000;
}

}  // namespace

v1::EmbeddingContract to_proto(const face::EmbeddingContract& contract) {
  v1::EmbeddingContract proto;
  proto.set_engine(contract.engine);
  proto.set_model_digest(std::string(as_text(contract.model_digest)));
  proto.set_dimension(contract.dimension);
  proto.set_metric(contract.metric);
  proto.set_normalisation(contract.normalisation);
  proto.set_threshold_verify(contract.threshold_verify);
  proto.set_threshold_identify(contract.threshold_identify);
  return proto;
}

Result<v1::CreateGalleryRequest> contract_request(const std::string& gallery,
                                                  const std::string& key_id,
                                                  const v1::EmbeddingContract& contract,
                                                  const std::string& edge_id,
                                                  const TicketSigner& signer) {
  TicketScope scope;
  scope.kind = TicketKind::contract;
  scope.edge_id = edge_id;
  scope.gallery = gallery;
  scope.key_id = key_id;
  scope.contract = contract_digest(contract);
  v1::CreateGalleryRequest request;
  request.set_gallery(gallery);
  request.set_key_id(key_id);
  *request.mutable_contract() = contract;
  request.set_edge_id(edge_id);
  BAUTA_TRY(*request.mutable_ticket(), signer.sign(scope));
  return request;
}

Edge::Edge(std::string edge_id, std::string key_id, secret::SecretKey key, TicketSigner signer,
           AnswerCode answer_code, std::unique_ptr<face::Engine> engine,
           std::unique_ptr<face::Detector> detector, match::Parameters parameters,
           AuthService& auth)
    : edge_id_(std::move(edge_id)),
      key_id_(std::move(key_id)),
      key_(std::move(key)),
      signer_(std::move(signer)),
      answer_code_(std::move(answer_code)),
      engine_(std::move(engine)),
      detector_(std::move(detector)),
      parameters_(std::move(parameters)),
      auth_(auth),
      contract_(to_proto(engine_->contract())) {}

Result<std::unique_ptr<Edge>> Edge::create(std::string edge_id, std::string key_id,
                                           const SecretBytes& seed,
                                           std::unique_ptr<face::Engine> engine,
                                           std::unique_ptr<face::Detector> detector,
                                           AuthService& auth) {
  BAUTA_TRY(match::Parameters parameters, match::Parameters::create(engine->contract().dimension));
  BAUTA_TRY(secret::SecretKey key,
            secret::SecretKey::expand(parameters.ring(), seed, kEdgeSecretPurpose));
  BAUTA_TRY(TicketSigner signer, TicketSigner::create(seed));
  BAUTA_TRY(AnswerCode answer_code, AnswerCode::create(seed));
  return std::unique_ptr<Edge>(new Edge(
      std::move(edge_id), std::move(key_id), std::move(key), std::move(signer),
      std::move(answer_code), std::move(engine), std::move(detector), std::move(parameters), auth));
}

// --- Image to ciphertext

Status Edge::send_images(const network::Network& network, const SecretBytes& seed) {
  if (as_text(network.digest) != contract_.model_digest())
    return make_error(ErrorCode::mismatch, "the network {} is not the one of engine {}",
                      network.name, contract_.engine());
  BAUTA_TRY(circuits::Plan plan, circuits::make_plan(network));
  BAUTA_TRY(secret::SecretKey key,
            secret::SecretKey::expand(plan.ring.parameters(), seed,
                                      edge_image_purpose(plan.ring.levels())));
  image_sender_.emplace(ImageSender{network.input, std::move(plan), std::move(key)});
  return {};
}

Result<std::optional<face::AlignedFace>> Edge::find_face(ByteView image, Recognition& found) const {
  const auto start = Clock::now();
  face::FaceOptions options;
  options.presentation = presentation_check_;
  Result<face::FaceOutcome> outcome = face::find_face(image, *detector_, options);
  found.timings.detect_align = milliseconds_since(start);
  if (!outcome.ok()) {
    // Bytes that are no image are the sender's mistake, as a photo without a face is; the rest is
    // ours.
    if (outcome.error().code != ErrorCode::invalid_argument) return outcome.error();
    found.reason = outcome.error().message;
    return std::optional<face::AlignedFace>();
  }
  found.presentation = outcome->presentation;
  if (const face::Refusal* refusal = outcome->refusal(); refusal != nullptr) {
    found.reason = refusal->message;
    return std::optional<face::AlignedFace>();
  }
  return std::optional(std::move(std::get<face::FoundFace>(outcome->outcome).aligned));
}

Result<std::string> Edge::encrypt_image(const face::AlignedFace& face, Timings& timings) const {
  const auto start = Clock::now();
  const ImageSender& sender = *image_sender_;
  std::vector<float> maps = network::input_maps(face.image.rgb, sender.geometry);
  const WipeAtEnd maps_end(maps);
  BAUTA_TRY(ckks::Message message, circuits::encode_image(sender.plan, sender.geometry, maps));
  const WipeAtEnd message_end(message.coefficients);
  BAUTA_TRY(const ckks::SeededCiphertext ciphertext,
            secret::encrypt(sender.key, message, sender.plan.ring.limbs()));
  std::string bytes(as_text(circuits::serialize_image(sender.plan, ciphertext)));
  timings.encrypt = milliseconds_since(start);
  return bytes;
}

Result<std::string> Edge::encrypt_probe(const face::Embedding& embedding, Timings& timings) const {
  const auto start = Clock::now();
  BAUTA_TRY(const match::TemplatePolynomial message, match::encode_probe(parameters_, embedding));
  BAUTA_TRY(const ckks::SeededCiphertext ciphertext,
            secret::encrypt(key_, message.span(), parameters_.ring().primes().size(),
                            parameters_.probe_scale()));
  std::string bytes(as_text(match::serialize_probe(parameters_, ciphertext)));
  timings.encrypt = milliseconds_since(start);
  return bytes;
}

TicketScope Edge::scope(TicketKind kind, const std::string& gallery) const {
  TicketScope scope;
  scope.kind = kind;
  scope.edge_id = edge_id_;
  scope.gallery = gallery;
  scope.key_id = key_id_;
  scope.contract = contract_digest(contract_);
  return scope;
}

Result<std::string> Edge::encrypt_reference(const face::Embedding& embedding) const {
  BAUTA_TRY(const match::TemplatePolynomial message,
            match::encode_reference(parameters_, embedding));
  return encrypt_message(message);
}

Result<std::string> Edge::encrypt_message(const match::TemplatePolynomial& message) const {
  BAUTA_TRY(const ckks::SeededCiphertext ciphertext,
            secret::encrypt(key_, message.span(), parameters_.ring().primes().size(),
                            parameters_.reference_scale()));
  return std::string(as_text(match::serialize_reference(parameters_, ciphertext)));
}

Result<v1::EnrolBlockRequest> Edge::encrypt_block(const std::string& gallery,
                                                  std::span<const std::string> subjects,
                                                  std::span<const float> embeddings,
                                                  ThreadPool& threads) const {
  BAUTA_TRY(const match::BulkBlock block, match::BulkBlock::create(parameters_, embeddings));
  BAUTA_ASSERT(block.references() == subjects.size());
  std::vector<Result<std::string>> ciphertexts(parameters_.width(), std::string());
  const auto encrypt = [&](size_t u) -> Result<std::string> {
    BAUTA_TRY(const match::TemplatePolynomial message, block.encode(u));
    return encrypt_message(message);
  };
  threads.parallel_for(ciphertexts.size(), [&](size_t begin, size_t end) {
    for (size_t u = begin; u < end; ++u) ciphertexts[u] = encrypt(u);
  });
  v1::EnrolBlockRequest request;
  request.set_gallery(gallery);
  request.set_edge_id(edge_id_);
  *request.mutable_contract() = contract_;
  for (Result<std::string>& ciphertext : ciphertexts) {
    BAUTA_TRY(*request.add_ciphertexts(), std::move(ciphertext));
  }
  for (const std::string& subject : subjects) request.add_subjects(subject);
  return request;
}

// --- Requests

Result<v1::Gallery> Edge::create_gallery(const std::string& gallery) {
  BAUTA_TRY(const v1::CreateGalleryRequest request,
            contract_request(gallery, key_id_, contract_, edge_id_, signer_));
  return auth_.create_gallery(request);
}

v1::EnrolRequest Edge::enrol_request(const std::string& gallery, const std::string& subject) const {
  v1::EnrolRequest request;
  request.set_gallery(gallery);
  request.set_subject(subject);
  request.set_edge_id(edge_id_);
  *request.mutable_contract() = contract_;
  return request;
}

Result<v1::EnrolReply> Edge::ask_enrol(v1::EnrolRequest& request) {
  TicketScope scope = this->scope(TicketKind::enrolment, request.gallery());
  scope.image = !request.images().empty();
  scope.ciphertexts = ciphertexts_digest(scope.image ? request.images() : request.references());
  scope.count =
      static_cast<uint32_t>(scope.image ? request.images_size() : request.references_size());
  scope.subject = subject_digest(request.gallery(), request.subject());
  BAUTA_TRY(*request.mutable_ticket(), signer_.sign(scope));
  BAUTA_TRY(v1::EnrolReply reply, auth_.enrol(request));
  BAUTA_CHECK(answer_code_.check(ticket_digest(scope, request.ticket()), reply.answer()));
  return reply;
}

// Images, too, are sent only of faces that the engine takes: under encryption nobody sees whether
// the network leaves the range that it was made for.
Status Edge::add_reference(const face::AlignedFace& face, v1::EnrolRequest& request) const {
  BAUTA_TRY(face::Embedding embedding, engine_->extract(face));
  const WipeAtEnd embedding_end(embedding);
  if (image_sender_) {
    Timings timings;
    BAUTA_TRY(*request.add_images(), encrypt_image(face, timings));
    return {};
  }
  BAUTA_TRY(*request.add_references(), encrypt_reference(embedding));
  return {};
}

Result<Enrolment> Edge::enroll(const std::string& gallery, const std::string& subject,
                               std::span<const Bytes> images, bool add) {
  Enrolment enrolment;
  v1::EnrolRequest request = enrol_request(gallery, subject);
  request.set_add(add);
  for (size_t i = 0; i < images.size(); ++i) {
    Recognition found;
    BAUTA_TRY(std::optional<face::AlignedFace> face, find_face(images[i], found));
    if (!face) {
      enrolment.refused.push_back({i, std::move(found.reason)});
      continue;
    }
    const WipeAtEnd face_end(face->image.rgb);
    const Status added = add_reference(*face, request);
    if (is_refusal(added))
      enrolment.refused.push_back({i, added.error().message});
    else
      BAUTA_CHECK(added);
  }
  if (request.references().empty() && request.images().empty()) return enrolment;
  BAUTA_TRY(const v1::EnrolReply reply, ask_enrol(request));
  enrolment.reference_ids.assign(reply.reference_ids().begin(), reply.reference_ids().end());
  return enrolment;
}

Result<Enrolment> Edge::enroll(const std::string& gallery, const std::string& subject,
                               const face::AlignedFace& face) {
  v1::EnrolRequest request = enrol_request(gallery, subject);
  const Status added = add_reference(face, request);
  if (is_refusal(added)) return Enrolment{{}, {{0, added.error().message}}};
  BAUTA_CHECK(added);
  BAUTA_TRY(const v1::EnrolReply reply, ask_enrol(request));
  return Enrolment{{reply.reference_ids().begin(), reply.reference_ids().end()}, {}};
}

Result<Enrolment> Edge::enroll(const std::string& gallery, const std::string& subject,
                               std::span<const face::Embedding> embeddings, bool add) {
  v1::EnrolRequest request = enrol_request(gallery, subject);
  request.set_add(add);
  for (const face::Embedding& embedding : embeddings) {
    BAUTA_TRY(*request.add_references(), encrypt_reference(embedding));
  }
  BAUTA_TRY(const v1::EnrolReply reply, ask_enrol(request));
  return Enrolment{{reply.reference_ids().begin(), reply.reference_ids().end()}, {}};
}

template <typename Request>
Status Edge::put_probe(const face::Embedding& embedding, Request& request, Timings& timings) const {
  BAUTA_TRY(*request.mutable_probe(), encrypt_probe(embedding, timings));
  return {};
}

template <typename Request>
Status Edge::put_probe(const face::AlignedFace& face, Request& request, Timings& timings) const {
  const auto start = Clock::now();
  BAUTA_TRY(face::Embedding embedding, engine_->extract(face));
  timings.extract = milliseconds_since(start);
  const WipeAtEnd embedding_end(embedding);
  if (image_sender_) {
    BAUTA_TRY(*request.mutable_image(), encrypt_image(face, timings));
    return {};
  }
  return put_probe(embedding, request, timings);
}

template <typename Reply>
Status Edge::check_answer(const TicketScope& scope, const v1::Ticket& ticket,
                          const Reply& reply) const {
  BAUTA_CHECK(answer_code_.check(ticket_digest(scope, ticket), reply.answer()));
  BAUTA_TRY(const DecisionOutcome outcome, parse_outcome(reply.answer().outcome()));
  if (outcome.decision == reply.decision()) return {};
  return make_error(ErrorCode::refused,
                    "the authentication server passes on another decision than the key service's");
}

template <typename Probe>
Result<Recognition> Edge::ask_identify(const std::string& gallery, const Probe& probe,
                                       uint32_t max_candidates) {
  Timings timings;
  const auto start = Clock::now();
  v1::IdentifyRequest request;
  request.set_gallery(gallery);
  request.set_edge_id(edge_id_);
  *request.mutable_contract() = contract_;
  const Status put = put_probe(probe, request, timings);
  if (is_refusal(put)) return rejection(put.error(), timings, start);
  BAUTA_CHECK(put);
  TicketScope scope = this->scope(TicketKind::identification, gallery);
  scope.image = !request.image().empty();
  scope.ciphertexts = probe_digest(request);
  BAUTA_TRY(*request.mutable_ticket(), signer_.sign(scope));
  request.set_max_candidates(max_candidates);
  BAUTA_TRY(const v1::IdentifyReply reply, auth_.identify(request));
  // Where nobody is enrolled the key service is not asked, and nobody can be accepted.
  if (reply.has_answer() || reply.decision() == v1::DECISION_ACCEPTED)
    BAUTA_CHECK(check_answer(scope, request.ticket(), reply));
  add_timings(reply.timings(), timings);
  timings.total = milliseconds_since(start);
  Recognition recognition = to_recognition(reply);
  recognition.timings = timings;
  return recognition;
}

template <typename Probe>
Result<Recognition> Edge::ask_verify(const std::string& gallery, const std::string& subject,
                                     const Probe& probe) {
  Timings timings;
  const auto start = Clock::now();
  v1::VerifyRequest request;
  request.set_gallery(gallery);
  request.set_subject(subject);
  request.set_edge_id(edge_id_);
  *request.mutable_contract() = contract_;
  const Status put = put_probe(probe, request, timings);
  if (is_refusal(put)) return rejection(put.error(), timings, start);
  BAUTA_CHECK(put);
  TicketScope scope = this->scope(TicketKind::verification, gallery);
  scope.image = !request.image().empty();
  scope.ciphertexts = probe_digest(request);
  scope.subject = subject_digest(gallery, subject);
  BAUTA_TRY(*request.mutable_ticket(), signer_.sign(scope));
  BAUTA_TRY(const v1::VerifyReply reply, auth_.verify(request));
  BAUTA_CHECK(check_answer(scope, request.ticket(), reply));
  add_timings(reply.timings(), timings);
  timings.total = milliseconds_since(start);
  Recognition recognition = to_recognition(reply);
  recognition.timings = timings;
  if (recognition.decision == v1::DECISION_ACCEPTED) recognition.subject = subject;
  return recognition;
}

Result<Recognition> Edge::identify(const std::string& gallery, const face::Embedding& probe,
                                   uint32_t max_candidates) {
  return ask_identify(gallery, probe, max_candidates);
}

Result<Recognition> Edge::verify(const std::string& gallery, const std::string& subject,
                                 const face::Embedding& probe) {
  return ask_verify(gallery, subject, probe);
}

Result<Recognition> Edge::verify(const std::string& gallery, const std::string& subject,
                                 const face::AlignedFace& probe) {
  return ask_verify(gallery, subject, probe);
}

Result<Recognition> Edge::recognise(ByteView image, const Ask& ask) {
  const auto start = Clock::now();
  Recognition found;
  BAUTA_TRY(std::optional<face::AlignedFace> face, find_face(image, found));
  if (!face) {
    found.timings.total = milliseconds_since(start);
    return found;
  }
  const WipeAtEnd face_end(face->image.rgb);
  BAUTA_TRY(Recognition recognition, ask(*face));
  recognition.timings.detect_align = found.timings.detect_align;
  recognition.presentation = found.presentation;
  recognition.timings.total = milliseconds_since(start);
  return recognition;
}

Result<Recognition> Edge::identify(const std::string& gallery, ByteView image,
                                   uint32_t max_candidates) {
  return recognise(image, [&](const face::AlignedFace& probe) {
    return ask_identify(gallery, probe, max_candidates);
  });
}

Result<Recognition> Edge::verify(const std::string& gallery, const std::string& subject,
                                 ByteView image) {
  return recognise(
      image, [&](const face::AlignedFace& probe) { return ask_verify(gallery, subject, probe); });
}

}  // namespace bauta::edge
