// Real connections on loopback, with certificates good and bad.

#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "services/grants/test_grants.h"
#include "services/transport/certificates.h"
#include "services/transport/client.h"
#include "services/transport/server.h"

namespace bauta::transport {
namespace {

namespace fs = std::filesystem;

class FakeAuth final : public AuthService {
 public:
  Result<v1::Gallery> create_gallery(const v1::CreateGalleryRequest&) override {
    return make_error(ErrorCode::already_exists, "there is one");
  }
  Result<v1::ListGalleriesReply> list_galleries(const v1::ListGalleriesRequest&) override {
    throw std::runtime_error("thrown");
  }
  Result<v1::Gallery> get_gallery(const v1::GetGalleryRequest& request) override {
    v1::Gallery gallery;
    gallery.set_gallery(request.gallery());
    gallery.set_key_id(request_id());
    return gallery;
  }
  Result<v1::DeleteGalleryReply> delete_gallery(const v1::DeleteGalleryRequest& request) override {
    return Error{static_cast<ErrorCode>(request.gallery()[0] - 'a' + 1),
                 "message " + request.gallery()};
  }
  Result<v1::EnrolReply> enrol(const v1::EnrolRequest&) override { return v1::EnrolReply(); }
  Result<v1::EraseReply> erase(const v1::EraseRequest&) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    return v1::EraseReply();
  }
  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& request) override {
    v1::IdentifyReply reply;
    reply.set_subject(request.edge_id());
    return reply;
  }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest&) override { return v1::VerifyReply(); }
  Result<v1::Renewal> renew_gallery(const v1::RenewGalleryRequest&) override {
    return v1::Renewal();
  }
};

class FakeKey final : public KeyService, public EdgeKeyService {
 public:
  Result<v1::EvaluationKeys> get_evaluation_keys(const v1::GetEvaluationKeysRequest&) override {
    v1::EvaluationKeys keys;
    keys.set_galois_keys(std::string(kMaxReply_bytes + 5, 'g'));
    keys.set_relinearization_key("r");
    return keys;
  }
  Result<v1::EdgeSwitchingKey> get_edge_switching_key(
      const v1::GetEdgeSwitchingKeyRequest& request) override {
    v1::EdgeSwitchingKey key;
    key.set_key(request.edge_id());
    return key;
  }
  Result<v1::ImageKeys> get_image_keys(const v1::GetImageKeysRequest&) override {
    return v1::ImageKeys();
  }
  Result<v1::RenewalKey> get_renewal_key(const v1::GetRenewalKeyRequest&) override {
    return v1::RenewalKey();
  }
  Result<v1::GetGrantsReply> get_grants(const v1::GetGrantsRequest&) override {
    return v1::GetGrantsReply();
  }
  Result<v1::AdmitReply> admit(const v1::AdmitRequest&) override { return v1::AdmitReply(); }
  Result<v1::DecideReply> decide(const v1::DecideRequest& request) override {
    v1::DecideReply reply;
    reply.mutable_answer()->set_outcome(std::to_string(request.scores().size()));
    return reply;
  }
  Result<v1::RegisterContractReply> register_contract(
      const v1::RegisterContractRequest& request) override {
    v1::RegisterContractReply reply;
    reply.set_version(request.contract().dimension());
    return reply;
  }
  Result<v1::GetSuccessorReply> get_successor(const v1::GetSuccessorRequest& request) override {
    v1::GetSuccessorReply reply;
    reply.set_key_id("after " + request.key_id());
    return reply;
  }
  Result<v1::ActiveKey> get_active_key(const v1::GetActiveKeyRequest&) override {
    return v1::ActiveKey();
  }
  Result<v1::EdgeKey> get_edge_key(const v1::GetEdgeKeyRequest& request) override {
    v1::EdgeKey key;
    key.set_seed("seed of " + request.edge_id());
    return key;
  }
};

class FakeOversight final : public OversightService {
 public:
  Result<v1::ListKeysReply> list_keys(const v1::ListKeysRequest& request) override {
    v1::ListKeysReply reply;
    reply.add_keys()->set_key_id("of " + request.tenant());
    return reply;
  }
  Result<v1::CheckDecisionsReply> check_decisions(const v1::CheckDecisionsRequest&) override {
    return make_error(ErrorCode::corrupt, "record 3 does not fit");
  }
};

class TransportTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-transport-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    ASSERT_TRUE(create_authority(directory_ / "ca").ok());
    grants_ = std::make_unique<grants::TestGrants>(directory_ / "grants");
    for (const char* edge : {"door", "gate", "hall", "linkage"}) grants_->give(edge);
    auth_server_ = start_auth(issue("auth"));
    ServerOptions options{"127.0.0.1:0", issue("key")};
    options.access = access();
    key_server_ = Server::serve_key(options, key_, key_, {}, &oversight_).value();
  }
  void TearDown() override { fs::remove_all(directory_); }

  TlsFiles issue(const std::string& name, int days = 1, const std::string& authority = "ca") {
    return issue_certificate(directory_ / authority, {name, {"127.0.0.1"}, days},
                             directory_ / ("of-" + authority))
        .value();
  }
  std::unique_ptr<Server> start_auth(const TlsFiles& tls) {
    ServerOptions options{"127.0.0.1:0", tls};
    options.access = access();
    return Server::serve_auth(options, auth_).value();
  }
  // Every gallery and key is of one tenant.
  Access access() {
    const auto tenant = [](const std::string&) { return std::optional<std::string>("default"); };
    return {&grants_->grants(), tenant, tenant};
  }
  ClientOptions to(const Server& server, const TlsFiles& tls) {
    ClientOptions options{fmt::format("127.0.0.1:{}", server.port()), tls};
    options.connect_timeout_ms = 1'500;
    return options;
  }
  static ErrorCode code_of(AuthService& service) {
    v1::IdentifyRequest request;
    request.set_edge_id("door");
    const auto reply = service.identify(request);
    return reply.ok() ? ErrorCode{} : reply.error().code;
  }
  ErrorCode identify_with(const TlsFiles& tls) {
    return code_of(*connect_auth(to(*auth_server_, tls)).value());
  }

  fs::path directory_;
  FakeAuth auth_;
  FakeKey key_;
  FakeOversight oversight_;
  std::unique_ptr<grants::TestGrants> grants_;
  std::unique_ptr<Server> auth_server_, key_server_;
};

TEST_F(TransportTest, CarriesRequestsErrorsAndRequestIds) {
  const auto client = connect_auth(to(*auth_server_, issue("door"))).value();
  set_request_id("request-7");
  v1::GetGalleryRequest get;
  get.set_gallery("staff");
  const auto gallery = client->get_gallery(get);
  ASSERT_TRUE(gallery.ok()) << gallery.error().message;
  EXPECT_EQ(gallery->gallery(), "staff");
  EXPECT_EQ(gallery->key_id(), "request-7");
  for (int code = 1; code <= 10; ++code) {
    v1::DeleteGalleryRequest remove;
    remove.set_gallery(std::string(1, static_cast<char>('a' + code - 1)));
    const auto removed = client->delete_gallery(remove);
    EXPECT_EQ(removed.error().code, static_cast<ErrorCode>(code));
    EXPECT_EQ(removed.error().message, "message " + remove.gallery());
  }
  EXPECT_EQ(client->list_galleries({}).error().code, ErrorCode::internal);
}

TEST_F(TransportTest, StreamsWhatIsLargerThanAMessage) {
  TlsFiles auth = issue("second");  // an edge
  EXPECT_EQ(connect_key(to(*key_server_, auth)).value()->get_evaluation_keys({}).error().code,
            ErrorCode::refused);
  auth.certificate = directory_ / "of-ca/auth.pem";
  auth.private_key = directory_ / "of-ca/auth.key";
  const auto client = connect_key(to(*key_server_, auth)).value();
  const auto keys = client->get_evaluation_keys({});
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  EXPECT_EQ(keys->galois_keys().size(), kMaxReply_bytes + 5);
  EXPECT_EQ(keys->relinearization_key(), "r");
  v1::DecideRequest decide;
  decide.set_scores(std::string(size_t{40} << 20, 's'));
  const auto decided = client->decide(decide);
  ASSERT_TRUE(decided.ok()) << decided.error().message;
  EXPECT_EQ(decided->answer().outcome(), std::to_string(decide.scores().size()));
  v1::RegisterContractRequest contract;
  contract.mutable_contract()->set_dimension(128);
  EXPECT_EQ(client->register_contract(contract)->version(), 128u);
}

TEST_F(TransportTest, DeliversAKeyOnlyToTheEdgeThatTheCertificateNames) {
  const auto client = connect_edge_keys(to(*key_server_, issue("door"))).value();
  v1::GetEdgeKeyRequest request;
  request.set_edge_id("door");
  EXPECT_EQ(client->get_edge_key(request).value().seed(), "seed of door");
  request.set_edge_id("gate");
  EXPECT_EQ(client->get_edge_key(request).error().code, ErrorCode::refused);
}

TEST_F(TransportTest, ShowsTheStateOfKeysToTheLinkageServerAlone) {
  v1::ListKeysRequest request;
  request.set_tenant("staff");
  const auto linkage = connect_oversight(to(*key_server_, issue("linkage"))).value();
  EXPECT_EQ(linkage->list_keys(request).value().keys(0).key_id(), "of staff");
  EXPECT_EQ(linkage->check_decisions({}).error().code, ErrorCode::corrupt);
  for (const char* name : {"door", "storage", "linkage2"}) {
    const auto other = connect_oversight(to(*key_server_, issue(name))).value();
    EXPECT_EQ(other->list_keys(request).error().code, ErrorCode::refused) << name;
    EXPECT_EQ(other->check_decisions({}).error().code, ErrorCode::refused) << name;
  }
}

TEST_F(TransportTest, RefusesOthersCertificates) {
  EXPECT_EQ(identify_with(issue("door")), ErrorCode{});
  EXPECT_EQ(identify_with(issue("gate")), ErrorCode::refused);  // in the name of door
  EXPECT_EQ(identify_with(issue("old", -1)), ErrorCode::unavailable);
  ASSERT_TRUE(create_authority(directory_ / "foreign").ok());
  TlsFiles foreign = issue("door", 1, "foreign");
  EXPECT_EQ(identify_with(foreign), ErrorCode::unavailable);  // does not believe the server
  foreign.authority = directory_ / "ca/ca.pem";
  EXPECT_EQ(identify_with(foreign), ErrorCode::unavailable);  // is not believed
  // The servers' own certificates are no edges'.
  TlsFiles key{directory_ / "ca/ca.pem", directory_ / "of-ca/key.pem",
               directory_ / "of-ca/key.key"};
  EXPECT_EQ(identify_with(key), ErrorCode::refused);
}

TEST_F(TransportTest, RefusesAServerThatIsAnotherThanMeant) {
  const auto impostor = start_auth(issue("impostor"));
  const auto client = connect_auth(to(*impostor, issue("door"))).value();
  EXPECT_EQ(code_of(*client), ErrorCode::unavailable);
  EXPECT_EQ(code_of(*connect_auth(to(*key_server_, issue("hall"))).value()),
            ErrorCode::unavailable);
}

TEST_F(TransportTest, ReportsDeadlinesAndSurvivesARestart) {
  ClientOptions options = to(*auth_server_, issue("door"));
  options.deadline_ms = 100;
  const auto hasty = connect_auth(options).value();
  const auto late = hasty->erase({});
  EXPECT_EQ(late.error().code, ErrorCode::unavailable);
  EXPECT_NE(late.error().message.find("in time"), std::string::npos);

  const auto client = connect_auth(to(*auth_server_, options.tls)).value();
  EXPECT_EQ(code_of(*client), ErrorCode{});
  const int port = auth_server_->port();
  auth_server_.reset();
  EXPECT_EQ(code_of(*client), ErrorCode::unavailable);
  ServerOptions again{
      fmt::format("127.0.0.1:{}", port),
      {directory_ / "ca/ca.pem", directory_ / "of-ca/auth.pem", directory_ / "of-ca/auth.key"}};
  again.access = access();
  auth_server_ = Server::serve_auth(again, auth_).value();
  EXPECT_EQ(code_of(*client), ErrorCode{});
  EXPECT_EQ(Server::serve_auth(again, auth_).error().code, ErrorCode::busy);
}

TEST_F(TransportTest, DrainsWhatIsAtWork) {
  const auto client = connect_auth(to(*auth_server_, issue("door"))).value();
  bool answered = false;
  std::thread caller([&] { answered = client->erase({}).ok(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  auth_server_->drain(5'000);
  caller.join();
  EXPECT_TRUE(answered);
}

TEST_F(TransportTest, RefusesMoreCallsThanItsLimit) {
  const TlsFiles tls{directory_ / "ca/ca.pem", directory_ / "of-ca/auth.pem",
                     directory_ / "of-ca/auth.key"};
  const auto server = Server::serve_auth({"127.0.0.1:0", tls, 1, access()}, auth_).value();
  const auto client = connect_auth(to(*server, issue("door"))).value();
  std::thread caller([&] { (void)client->erase({}); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(code_of(*client), ErrorCode::busy);
  caller.join();
  EXPECT_EQ(code_of(*client), ErrorCode{});
}

TEST_F(TransportTest, KeepsPrivateKeysPrivate) {
  const TlsFiles door = issue("door");
  struct stat status {};
  ASSERT_EQ(stat(door.private_key.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((directory_ / "ca/ca/ca.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  fs::permissions(door.private_key, fs::perms(0644));
  EXPECT_EQ(connect_auth(to(*auth_server_, door)).error().code, ErrorCode::refused);
  ASSERT_TRUE(write_file_atomically(door.private_key, as_bytes("no key"), 0600).ok());
  EXPECT_EQ(connect_auth(to(*auth_server_, door)).error().code, ErrorCode::invalid_argument);
}

TEST_F(TransportTest, GoesOnWhereAnInterruptedIssueEnded) {
  const fs::path authority = directory_ / "interrupted";
  ASSERT_TRUE(create_authority(authority).ok());
  const TlsFiles files = issue_certificate(authority, {"edge", {}}, authority).value();
  for (const char* name : {"ca", "edge"}) {
    const fs::path key_path = authority / (name == std::string("ca") ? "ca/ca.key" : "edge.key");
    const Bytes key = read_file(key_path, 1 << 16).value();
    fs::remove(authority / (std::string(name) + ".pem"));
    if (name == std::string("ca"))
      ASSERT_TRUE(create_authority(authority).ok());
    else
      ASSERT_TRUE(issue_certificate(authority, {"edge", {}}, authority).ok());
    EXPECT_EQ(read_file(key_path, 1 << 16).value(), key);
  }
  fs::remove(files.certificate);
  ASSERT_TRUE(write_file_atomically(files.private_key, as_bytes("no key"), 0600).ok());
  EXPECT_EQ(issue_certificate(authority, {"edge", {}}, authority).error().code, ErrorCode::corrupt);
}

TEST_F(TransportTest, IssuesACertificateAnewForTheSameKeyNameAndHosts) {
  const TlsFiles door = issue("door");
  const Bytes before = read_file(door.certificate, 1 << 16).value();
  ASSERT_TRUE(reissue_certificate(directory_ / "ca", door.certificate).ok());
  EXPECT_NE(read_file(door.certificate, 1 << 16).value(), before);
  EXPECT_EQ(read_party(door.certificate).value(), (Party{Role::edge, "door"}));
  EXPECT_EQ(identify_with(door), ErrorCode{});
  for (const char* name : {"auth", "key", "storage", "linkage"}) {
    const fs::path file = directory_ / "of-ca" / (std::string(name) + ".pem");
    if (!fs::exists(file)) issue(name);
    ASSERT_TRUE(reissue_certificate(directory_ / "ca", file).ok()) << name;
    EXPECT_EQ(read_party(file).value(), (Party{role_of_name(name), name}));
  }
  const auto again = start_auth(
      {directory_ / "ca/ca.pem", directory_ / "of-ca/auth.pem", directory_ / "of-ca/auth.key"});
  EXPECT_EQ(code_of(*connect_auth(to(*again, door)).value()), ErrorCode{});
}

TEST_F(TransportTest, ReadsAnAuthoritysKeyWhereItLayBefore) {
  const fs::path authority = directory_ / "ca";
  fs::rename(authority / "ca/ca.key", authority / "ca.key");
  EXPECT_TRUE(has_authority_key(authority));
  EXPECT_EQ(identify_with(issue("door")), ErrorCode{});
  ASSERT_TRUE(put_away_authority_key(authority).ok());
  ASSERT_TRUE(put_away_authority_key(authority).ok());
  EXPECT_FALSE(fs::exists(authority / "ca.key"));
  EXPECT_EQ(code_of(*connect_auth(to(*auth_server_, issue("hall"))).value()), ErrorCode::refused);
}

TEST_F(TransportTest, IssuesNoCertificateThatLies) {
  const auto issue_for = [&](const std::string& name, const std::string& host) {
    const auto issued = issue_certificate(directory_ / "ca", {name, {host}}, directory_ / "out");
    return issued.ok() ? ErrorCode{} : issued.error().code;
  };
  EXPECT_EQ(issue_for("edge", "auth"), ErrorCode::invalid_argument);
  EXPECT_EQ(issue_for("edge", "key"), ErrorCode::invalid_argument);
  EXPECT_EQ(issue_for("edge", "a,DNS:auth"), ErrorCode::invalid_argument);
  EXPECT_EQ(issue_for("../edge", "host"), ErrorCode::invalid_argument);
  EXPECT_EQ(issue_for("ca", "host"), ErrorCode::invalid_argument);
  EXPECT_EQ(issue_for("", "host"), ErrorCode::invalid_argument);
  NewCertificate auth_by_another_name{"edge", {}};
  auth_by_another_name.role = Role::auth;
  EXPECT_FALSE(issue_certificate(directory_ / "ca", auth_by_another_name, directory_ / "out").ok());
  EXPECT_EQ(issue_for("edge", "::1"), ErrorCode{});
  EXPECT_EQ(issue_for("edge", "::1"), ErrorCode::already_exists);
  EXPECT_EQ(create_authority(directory_ / "ca").error().code, ErrorCode::already_exists);
  EXPECT_EQ(issue_certificate(directory_ / "none", {"e", {}}, directory_).error().code,
            ErrorCode::not_found);
}

}  // namespace
}  // namespace bauta::transport
