// Image mode through all parties: the edge encrypts the image, the authentication server extracts
// the features, and templates of either mode match those of the other.
#include <atomic>
#include <random>
#include <ranges>
#include <thread>

#include "base/file.h"
#include "circuits/image_ciphertext.h"
#include "circuits/precision.h"
#include "network/evaluation.h"
#include "network/ranges.h"
#include "secret/encryption.h"
#include "services/contract.h"
#include "tests/system/parties.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;

const fs::path kSources = BAUTA_SOURCE_DIR;

Bytes photo(const std::string& person, int number) {
  const fs::path path =
      kSources / "examples/people" / person / fmt::format("{}_{:04}.jpg", person, number);
  auto bytes = read_file(path, size_t{4} << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  return std::move(*bytes);
}

// Hands every question on, but the one that ends the evaluation of an image only when told to.
class HesitantKeyService final : public KeyService {
 public:
  explicit HesitantKeyService(KeyService& keys) : keys_(keys) {}

  Result<v1::EvaluationKeys> get_evaluation_keys(
      const v1::GetEvaluationKeysRequest& request) override {
    return keys_.get_evaluation_keys(request);
  }
  Result<v1::EdgeSwitchingKey> get_edge_switching_key(
      const v1::GetEdgeSwitchingKeyRequest& request) override {
    return keys_.get_edge_switching_key(request);
  }
  Result<v1::ImageKeys> get_image_keys(const v1::GetImageKeysRequest& request) override {
    return keys_.get_image_keys(request);
  }
  Result<v1::RenewalKey> get_renewal_key(const v1::GetRenewalKeyRequest& request) override {
    return keys_.get_renewal_key(request);
  }
  Result<v1::GetGrantsReply> get_grants(const v1::GetGrantsRequest& request) override {
    return keys_.get_grants(request);
  }
  Result<v1::AdmitReply> admit(const v1::AdmitRequest& request) override {
    if (request.origin().image()) {
      asked_ = true;
      asked_.notify_all();
      told_.wait(false);
    }
    return keys_.admit(request);
  }
  Result<v1::DecideReply> decide(const v1::DecideRequest& request) override {
    return keys_.decide(request);
  }
  Result<v1::GetSuccessorReply> get_successor(const v1::GetSuccessorRequest& request) override {
    return keys_.get_successor(request);
  }
  Result<v1::RegisterContractReply> register_contract(
      const v1::RegisterContractRequest& request) override {
    return keys_.register_contract(request);
  }

  void wait_until_asked() { asked_.wait(false); }
  void tell() {
    told_ = true;
    told_.notify_all();
  }

 private:
  KeyService& keys_;
  std::atomic<bool> asked_ = false, told_ = false;
};

class ImageModeTest : public SystemTest {
 protected:
  static constexpr const char* kGallery = "faces";
  static constexpr const char* kEdge = "edge-1";

  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    network_file_ = *read_file(kSources / "models/patchnet.bnet", network::kMaxFileBytes);
    network_ = *network::parse_network(network_file_);
    const auto engine = *face::make_engine((kSources / "models/patchnet.bnet").string());
    contract_ = edge::to_proto(engine->contract());
    create_gallery(*parties_->auth);
  }

  // With the edge admitted.
  void create_gallery(auth::AuthServer& server) {
    const auto signer = *TicketSigner::create(seed_of(kEdge));
    const auto request =
        edge::contract_request(kGallery, parties_->tenant_key(), contract_, kEdge, signer);
    ASSERT_TRUE(request.ok());
    ASSERT_TRUE(server.create_gallery(*request).ok());
    ASSERT_TRUE(server.admit_edge(parties_->tenant_key(), kEdge, contract_.dimension()).ok());
  }

  circuits::Plan plan() const { return *circuits::make_plan(network_); }

  SecretBytes seed_of(const std::string& edge_id) const {
    return *parties_->key->issue_edge_seed(parties_->tenant_key(), edge_id);
  }

  secret::SecretKey image_key(const std::string& edge_id) const {
    const circuits::ImageRing ring = plan().ring;
    return *secret::SecretKey::expand(ring.parameters(), seed_of(edge_id),
                                      edge_image_purpose(ring.levels()));
  }

  std::unique_ptr<edge::Edge> make_edge(bool images, AuthService* server = nullptr) const {
    const SecretBytes seed = seed_of(kEdge);
    auto edge = *edge::Edge::create(
        kEdge, parties_->tenant_key(), seed,
        *face::make_engine((kSources / "models/patchnet.bnet").string()),
        *face::make_detector("haar5"), server != nullptr ? *server : *parties_->auth);
    if (images) {
      EXPECT_TRUE(edge->send_images(network_, seed).ok());
    }
    return edge;
  }

  Status enroll(edge::Edge& edge, const std::string& person) {
    const Bytes image = photo(person, 1);
    const auto enrolment = edge.enroll(kGallery, person, {&image, 1}, false);
    if (!enrolment.ok()) return enrolment.error();
    EXPECT_EQ(enrolment->reference_ids.size(), 1u);
    return {};
  }

  // Who is in the photo; empty: nobody enrolled.
  std::string identify(edge::Edge& edge, const std::string& person) {
    const auto recognition = edge.identify(kGallery, photo(person, 2));
    EXPECT_TRUE(recognition.ok()) << recognition.error().message;
    return recognition.ok() ? recognition->subject : "error";
  }

  std::vector<float> maps_of(const face::AlignedFace& face) const {
    return network::input_maps(face.image.rgb, network_.input);
  }

  // As an edge sends it that does not look at the face first.
  Result<v1::IdentifyReply> identify_unseen(const face::AlignedFace& face) {
    const circuits::Plan network_plan = plan();
    v1::IdentifyRequest request;
    request.set_gallery(kGallery);
    request.set_edge_id(kEdge);
    *request.mutable_contract() = contract_;
    request.set_image(std::string(as_text(circuits::serialize_image(
        network_plan,
        *secret::encrypt(image_key(kEdge),
                         *circuits::encode_image(network_plan, network_.input, maps_of(face)),
                         network_plan.ring.limbs())))));
    const auto signer = *TicketSigner::create(seed_of(kEdge));
    TicketScope scope;
    scope.edge_id = kEdge;
    scope.gallery = kGallery;
    scope.key_id = parties_->tenant_key();
    scope.contract = contract_digest(contract_);
    scope.ciphertexts = probe_digest(request);
    scope.image = true;
    *request.mutable_ticket() = *signer.sign(scope);
    return parties_->auth->identify(request);
  }

  Bytes network_file_;
  network::Network network_;
  v1::EmbeddingContract contract_;
};

// colour(y, x, c): of the pixel, 0 to 255.
face::AlignedFace picture(const std::function<int(int, int, int)>& colour) {
  face::AlignedFace face{{network::kFaceSide, network::kFaceSide, {}}};
  for (int y = 0; y < face.image.height; ++y)
    for (int x = 0; x < face.image.width; ++x)
      for (int c = 0; c < 3; ++c) face.image.rgb.push_back(static_cast<uint8_t>(colour(y, x, c)));
  return face;
}

face::AlignedFace blocks_picture(int side, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int> colours(size_t{3} * network::kFaceSide * network::kFaceSide);
  for (int& colour : colours) colour = random() % 2 == 0 ? 0 : 255;
  return picture([&](int y, int x, int c) {
    return colours[static_cast<size_t>((y / side * 112 + x / side) * 3 + c)];
  });
}

face::AlignedFace noise_picture() {
  std::mt19937 random(1);
  return picture([&](int, int, int) { return static_cast<int>(random() % 256); });
}

// Two ears on a disc, eyes and a nose.
face::AlignedFace cat_picture() {
  return picture([](int y, int x, int c) {
    const int dx = std::abs(x - 56), dy = y - 64;
    const bool ear = y > 8 && y < 40 && std::abs(dx - 28) < (y - 8) / 2;
    const bool eye = (dx - 16) * (dx - 16) + 2 * (dy + 8) * (dy + 8) < 64;
    const bool nose = dx < 6 && dy > 8 && dy < 16;
    if (eye) return c == 1 ? 200 : 20;
    if (nose) return 30;
    const int fur[3] = {210, 130, 60};
    return ear || dx * dx + dy * dy < 1600 ? fur[c] : 90;
  });
}

// In one test, because the keys take seconds.
TEST_F(ImageModeTest, EitherModeRecognisesWhatTheOtherEnrolled) {
  const auto templates = make_edge(false);
  const auto images = make_edge(true);

  const Status unknown = enroll(*images, "Arlecchino");
  ASSERT_FALSE(unknown.ok());  // the server lacks the network
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
  EXPECT_FALSE(parties_->auth->add_network(ByteView(network_file_).first(1000)).ok());
  ASSERT_TRUE(parties_->auth->add_network(network_file_).ok());

  ASSERT_TRUE(enroll(*images, "Arlecchino").ok());
  ASSERT_TRUE(enroll(*templates, "Brighella").ok());
  EXPECT_EQ(identify(*templates, "Arlecchino"), "Arlecchino");
  EXPECT_EQ(identify(*images, "Brighella"), "Brighella");
  EXPECT_EQ(identify(*images, "Arlecchino"), "Arlecchino");
  const auto verified = images->verify(kGallery, "Brighella", photo("Colombina", 2));
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(verified->decision, v1::DECISION_REJECTED);

  // What is no image of this edge, and no face, is refused with the reason.
  v1::IdentifyRequest request;
  request.set_gallery(kGallery);
  request.set_edge_id(kEdge);
  *request.mutable_contract() = contract_;
  const auto refusal = [&](const Bytes& image) {
    request.set_image(std::string(as_text(image)));
    const auto reply = parties_->auth->identify(request);
    EXPECT_FALSE(reply.ok());
    return reply.ok() ? ErrorCode{} : reply.error().code;
  };
  const circuits::Plan network_plan = plan();
  const auto encrypt = [&](const secret::SecretKey& key, float value) {
    const network::InputGeometry& input = network_.input;
    const std::vector<float> maps(size_t{input.patches()} * input.channels() * input.positions(),
                                  value);
    return circuits::serialize_image(
        network_plan, *secret::encrypt(key, *circuits::encode_image(network_plan, input, maps),
                                       network_plan.ring.limbs()));
  };
  const Bytes grey = encrypt(image_key(kEdge), 0.0f);
  EXPECT_EQ(refusal(Bytes(grey.begin(), grey.end() - 1)), ErrorCode::corrupt);
  EXPECT_EQ(refusal(encrypt(image_key("stranger"), 0.0f)), ErrorCode::refused);
  EXPECT_EQ(refusal(encrypt(image_key(kEdge), 1000.0f)), ErrorCode::refused);

  ASSERT_TRUE(parties_->auth->revoke_edge(kEdge).ok());
  EXPECT_EQ(refusal(grey), ErrorCode::refused);
}

// Under encryption nobody sees that a picture makes the network leave its range, until the values
// wrap around the modulus.
TEST_F(ImageModeTest, NoPictureThatIsNoFaceIsAccepted) {
  ASSERT_TRUE(parties_->auth->add_network(network_file_).ok());
  const auto edge = make_edge(true);
  for (const char* person : {"Arlecchino", "Brighella", "Colombina"})
    ASSERT_TRUE(enroll(*make_edge(false), person).ok());
  std::vector<face::AlignedFace> pictures{noise_picture(), cat_picture()};
  for (const int grey : {0, 255}) pictures.push_back(picture([&](int, int, int) { return grey; }));
  for (const int side : {7, 14, 28}) pictures.push_back(blocks_picture(side, 1));
  pictures.push_back(picture([](int, int x, int) { return x / 8 % 2 * 255; }));
  pictures.push_back(picture([](int y, int, int) { return y / 8 % 2 * 255; }));

  const circuits::Plan network_plan = plan();
  size_t outside = 0, wrapped = 0;
  for (const face::AlignedFace& face : pictures) {
    network::Ranges ranges(network_);
    bool wraps = false;
    network::evaluate(network_, maps_of(face), [&](size_t layer, std::span<float> output) {
      ranges(layer, output);
      const auto size = [](float value) { return std::abs(value); };
      wraps |= !(std::ranges::max(output | std::views::transform(size)) <
                 circuits::largest_value(network_plan, layer));
    });
    const auto seen = edge->verify(kGallery, "Arlecchino", face);
    ASSERT_TRUE(seen.ok()) << seen.error().message;
    EXPECT_EQ(seen->decision, v1::DECISION_REJECTED);
    EXPECT_EQ(seen->reason.empty(), ranges.kept());
    const auto unseen = identify_unseen(face);
    if (unseen.ok()) {
      EXPECT_EQ(unseen->decision(), v1::DECISION_REJECTED);
      EXPECT_FALSE(wraps);
    } else {
      EXPECT_EQ(unseen.error().code, ErrorCode::refused) << unseen.error().message;
    }
    if (!ranges.kept()) ++outside;
    if (wraps) ++wrapped;
  }
  EXPECT_GE(outside, 4u);
  EXPECT_GE(wrapped, 2u);
  const auto enrolment = edge->enroll(kGallery, "blocks", blocks_picture(28, 1));
  ASSERT_TRUE(enrolment.ok());
  EXPECT_TRUE(enrolment->reference_ids.empty());
  EXPECT_EQ(enrolment->refused.size(), 1u);
}

TEST_F(ImageModeTest, MatchingGoesOnBesideAnImageAndMoreImagesAreBusy) {
  HesitantKeyService keys(*parties_->key);
  const auto server = *auth::AuthServer::open(directory_ / "second", keys, 2,
                                              auth::Admission::explicitly, /*image_requests=*/1);
  create_gallery(*server);
  ASSERT_TRUE(server->add_network(network_file_).ok());
  const auto templates = make_edge(false, server.get());
  const auto images = make_edge(true, server.get()), more = make_edge(true, server.get());

  Status enrolled;
  std::thread first([&] { enrolled = enroll(*images, "Arlecchino"); });
  keys.wait_until_asked();
  ASSERT_TRUE(enroll(*templates, "Brighella").ok());
  EXPECT_EQ(identify(*templates, "Brighella"), "Brighella");
  const auto busy = more->identify(kGallery, photo("Brighella", 2));
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code, ErrorCode::busy);
  keys.tell();
  first.join();
  EXPECT_TRUE(enrolled.ok());
  EXPECT_EQ(identify(*more, "Arlecchino"), "Arlecchino");
}

TEST_F(ImageModeTest, KeyServiceRefusesKeysThatTheRingDoesNotHave) {
  v1::GetImageKeysRequest request;
  request.set_key_id(parties_->tenant_key());
  request.set_dimension(128);
  request.set_levels(16);
  const auto refused = [&] {
    const auto reply = parties_->key->get_image_keys(request);
    return !reply.ok() && reply.error().code == ErrorCode::invalid_argument;
  };
  EXPECT_TRUE(refused());  // no key at all
  v1::ImageKey& key = *request.add_keys();
  EXPECT_TRUE(refused());
  key.set_galois_element(4);
  key.set_limbs(18);
  EXPECT_TRUE(refused());
  key.set_galois_element(65537);
  EXPECT_TRUE(refused());
  key.set_galois_element(5);
  key.set_limbs(17);
  EXPECT_TRUE(refused());
  request.set_levels(40);
  EXPECT_TRUE(refused());
  request.set_levels(16);
  for (int i = 0; i < 16; ++i) *request.add_keys() = key;
  EXPECT_TRUE(refused());
}

}  // namespace
}  // namespace bauta
