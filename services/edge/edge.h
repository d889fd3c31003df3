// The edge: turns the image in front of it into an encrypted template, or encrypts the image
// itself, sends that, and forgets the rest. The only party that sees a face; it holds its own edge
// key and no tenant's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "circuits/plan.h"
#include "face/engine.h"
#include "face/pipeline.h"
#include "match/template_codec.h"
#include "secret/secret_key.h"
#include "services/answer.h"
#include "services/services.h"
#include "services/ticket.h"

namespace bauta::edge {

// Milliseconds, under the names of the JSON answers.
struct Timings {
  double detect_align = 0;  // decoding and quality included
  double extract = 0;       // in image mode at the authentication server
  double encrypt = 0;
  double match = 0;   // at the authentication server
  double decide = 0;  // at the key service, asked by the authentication server
  double total = 0;   // all of it, transport included
};

struct Recognition {
  v1::Decision decision = v1::DECISION_UNSPECIFIED;  // unspecified: the image was refused
  std::string subject;                               // when accepted
  std::string reason;  // when refused, or rejected by the engine: a sentence for the person
  Timings timings;
  face::Presentation presentation = face::Presentation::not_checked;
  std::vector<std::string>
      candidates;             // when accepted, and more than one was asked for; best first
  uint64_t not_compared = 0;  // references that an identification left out: their files are damaged
  // Only for keys created for evaluation: the best comparison score, and in 1:N whose it is.
  double evaluation_score = 0;
  std::string evaluation_candidate;
};

struct RefusedImage {
  size_t image = 0;  // index into the images given
  std::string reason;
};

struct Enrolment {
  std::vector<std::string> reference_ids;
  std::vector<RefusedImage> refused;
};

class Edge {
 public:
  // `auth` must outlive the edge. `seed` is the secret that the key service has issued to this edge
  // for the key of its galleries, `key_id`.
  static Result<std::unique_ptr<Edge>> create(std::string edge_id, std::string key_id,
                                              const SecretBytes& seed,
                                              std::unique_ptr<face::Engine> engine,
                                              std::unique_ptr<face::Detector> detector,
                                              AuthService& auth);

  // Image mode: from now on, the encrypted image is sent in place of a template, and the
  // authentication server extracts the features. A face that the engine refuses is still not sent:
  // a probe is rejected, a reference refused. `seed` is create()'s. Error mismatch: another
  // network than the engine's; those of circuits::make_plan.
  Status send_images(const network::Network& network, const SecretBytes& seed);

  // From now on, faces that the check fails are refused like images without a face. It must outlive
  // the edge.
  void check_presentation(const face::PresentationCheck& check) { presentation_check_ = &check; }

  // A gallery under this edge's key for embeddings of its engine; signs for its contract.
  Result<v1::Gallery> create_gallery(const std::string& gallery);

  // One reference per usable image, all in one durable step. When no image can be used nothing is
  // enrolled and reference_ids is empty. Errors: those of the authentication server.
  Result<Enrolment> enroll(const std::string& gallery, const std::string& subject,
                           std::span<const Bytes> images, bool add);
  // max_candidates: subjects to name, at most as many as the gallery's key allows.
  Result<Recognition> identify(const std::string& gallery, ByteView image,
                               uint32_t max_candidates = 1);
  Result<Recognition> verify(const std::string& gallery, const std::string& subject,
                             ByteView image);

  // The same from faces that are aligned already.
  Result<Enrolment> enroll(const std::string& gallery, const std::string& subject,
                           const face::AlignedFace& face);
  Result<Recognition> verify(const std::string& gallery, const std::string& subject,
                             const face::AlignedFace& probe);

  // The same from embeddings of this edge's engine, whatever the mode.
  Result<Enrolment> enroll(const std::string& gallery, const std::string& subject,
                           std::span<const face::Embedding> embeddings, bool add = false);
  Result<Recognition> identify(const std::string& gallery, const face::Embedding& probe,
                               uint32_t max_candidates = 1);
  Result<Recognition> verify(const std::string& gallery, const std::string& subject,
                             const face::Embedding& probe);

  // A block of up to 4,096 references made whole, for AuthServer::enrol_block: row i of
  // `embeddings` is of subjects[i]. Errors: those of match::BulkBlock.
  Result<v1::EnrolBlockRequest> encrypt_block(const std::string& gallery,
                                              std::span<const std::string> subjects,
                                              std::span<const float> embeddings,
                                              ThreadPool& threads) const;

  const v1::EmbeddingContract& contract() const { return contract_; }

 private:
  Edge(std::string edge_id, std::string key_id, secret::SecretKey key, TicketSigner signer,
       AnswerCode answer_code, std::unique_ptr<face::Engine> engine,
       std::unique_ptr<face::Detector> detector, match::Parameters parameters, AuthService& auth);

  struct ImageSender {
    network::InputGeometry geometry;
    circuits::Plan plan;
    secret::SecretKey key;
  };

  // The one face in the image; or nothing, and the reason why. Fills in timings and presentation.
  Result<std::optional<face::AlignedFace>> find_face(ByteView image, Recognition& found) const;
  // find_face(), then the request with the face.
  using Ask = std::function<Result<Recognition>(const face::AlignedFace&)>;
  Result<Recognition> recognise(ByteView image, const Ask& ask);

  // Into a request, by mode.
  Status add_reference(const face::AlignedFace& face, v1::EnrolRequest& request) const;
  template <typename Request>
  Status put_probe(const face::AlignedFace& face, Request& request, Timings& timings) const;
  template <typename Request>
  Status put_probe(const face::Embedding& embedding, Request& request, Timings& timings) const;
  v1::EnrolRequest enrol_request(const std::string& gallery, const std::string& subject) const;
  // Probe: what put_probe takes.
  template <typename Probe>
  Result<Recognition> ask_identify(const std::string& gallery, const Probe& probe,
                                   uint32_t max_candidates);
  template <typename Probe>
  Result<Recognition> ask_verify(const std::string& gallery, const std::string& subject,
                                 const Probe& probe);

  Result<std::string> encrypt_image(const face::AlignedFace& face, Timings& timings) const;
  Result<std::string> encrypt_probe(const face::Embedding& embedding, Timings& timings) const;
  // What a ticket of this edge is for; the rest is the caller's.
  TicketScope scope(TicketKind kind, const std::string& gallery) const;
  // Error refused: the key service has not said this to that ticket.
  template <typename Reply>
  Status check_answer(const TicketScope& scope, const v1::Ticket& ticket, const Reply& reply) const;
  // Sends the enrolment with its ticket, and checks the answer.
  Result<v1::EnrolReply> ask_enrol(v1::EnrolRequest& request);
  Result<std::string> encrypt_reference(const face::Embedding& embedding) const;
  Result<std::string> encrypt_message(const match::TemplatePolynomial& message) const;

  std::string edge_id_, key_id_;
  secret::SecretKey key_;
  TicketSigner signer_;
  AnswerCode answer_code_;
  std::unique_ptr<face::Engine> engine_;
  std::unique_ptr<face::Detector> detector_;
  const face::PresentationCheck* presentation_check_ = nullptr;
  match::Parameters parameters_;
  AuthService& auth_;
  v1::EmbeddingContract contract_;
  std::optional<ImageSender> image_sender_;
};

// What a new gallery is asked for with: signs for the contract in the name of the edge.
Result<v1::CreateGalleryRequest> contract_request(const std::string& gallery,
                                                  const std::string& key_id,
                                                  const v1::EmbeddingContract& contract,
                                                  const std::string& edge_id,
                                                  const TicketSigner& signer);

// The engine's contract in the form that travels.
v1::EmbeddingContract to_proto(const face::EmbeddingContract& contract);

}  // namespace bauta::edge
