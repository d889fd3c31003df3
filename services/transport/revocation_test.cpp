// What a change of the grants does to connections that are open, over real TLS.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "bauta/v1/platform.grpc.pb.h"
#include "services/grants/test_grants.h"
#include "services/rest/fake_services.h"
#include "services/transport/certificates.h"
#include "services/transport/client.h"
#include "services/transport/server.h"

namespace bauta::transport {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kExport_bytes = size_t{200} << 20;

class LargeCollection final : public CollectionService {
 public:
  Result<v1::ReadLogReply> read_log(const v1::ReadLogRequest&) override {
    return v1::ReadLogReply();
  }
  Result<v1::GalleryBackup> export_gallery(const v1::ExportGalleryRequest&) override {
    v1::GalleryBackup backup;
    backup.set_file(std::string(kExport_bytes, 'b'));
    return backup;
  }
};

class RevocationTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-revocation-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    ASSERT_TRUE(create_authority(directory_ / "ca").ok());
    grants_ = std::make_unique<grants::TestGrants>(directory_ / "grants");
    const auto tenant = [](const std::string&) { return std::optional<std::string>("default"); };
    ServerOptions options{"127.0.0.1:0", issue("auth")};
    options.access = {&grants_->grants(), tenant, tenant};
    server_ = Server::serve_auth(options, auth_, {}, &collection_).value();
  }
  void TearDown() override {
    server_.reset();
    fs::remove_all(directory_);
  }

  TlsFiles issue(const std::string& name) {
    return issue_certificate(directory_ / "ca", {name, {"127.0.0.1"}, 1}, directory_ / "of")
        .value();
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", server_->port()); }
  std::string text_of(const fs::path& file) {
    return std::string(as_text(read_file(file, 1 << 20).value()));
  }

  fs::path directory_;
  rest::FakeAuth auth_;
  LargeCollection collection_;
  std::unique_ptr<grants::TestGrants> grants_;
  std::unique_ptr<Server> server_;
};

TEST_F(RevocationTest, EndsAnOpenStreamWithinASecond) {
  grants_->give("linkage");
  const TlsFiles tls = issue("linkage");
  grpc::SslCredentialsOptions credentials;
  credentials.pem_root_certs = text_of(tls.authority);
  credentials.pem_cert_chain = text_of(tls.certificate);
  credentials.pem_private_key = text_of(tls.private_key);
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("auth");
  const auto stub = v1::Collection::NewStub(
      grpc::CreateCustomChannel(address(), grpc::SslCredentials(credentials), arguments));
  grpc::ClientContext context;
  v1::ExportGalleryRequest request;
  request.set_gallery("entrance");
  const auto reader = stub->ExportGallery(&context, request);
  v1::Chunk chunk;
  size_t bytes = 0;
  for (int i = 0; i < 5 && reader->Read(&chunk); ++i) bytes += chunk.part().size();
  EXPECT_EQ(bytes, 5 * kChunk_bytes);

  grants_->update([](grants::GrantList& list) { list.revoke("linkage"); });
  // A reader as slow as a network: what is already on its way arrives, no more.
  const auto revoked_at = Clock::now();
  while (reader->Read(&chunk)) {
    bytes += chunk.part().size();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_LT(Clock::now() - revoked_at, std::chrono::seconds(1));
  }
  const grpc::Status ended = reader->Finish();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::PERMISSION_DENIED) << ended.error_message();
  EXPECT_NE(ended.error_message().find("revoked"), std::string::npos) << ended.error_message();
  EXPECT_LT(bytes, kExport_bytes / 2);
}

TEST_F(RevocationTest, RefusesEveryCallOfAnOpenConnectionWithinASecond) {
  grants_->give("door");
  ClientOptions options{address(), issue("door")};
  const auto client = connect_auth(options).value();
  const auto code_of = [](const auto& answer) {
    return answer.ok() ? ErrorCode{} : answer.error().code;
  };
  // The service behind the gate has nothing to say.
  ASSERT_EQ(code_of(client->list_galleries({})), ErrorCode::unavailable);
  grants_->update([](grants::GrantList& list) { list.revoke("door"); });
  const auto revoked_at = Clock::now();
  while (code_of(client->list_galleries({})) != ErrorCode::refused)
    ASSERT_LT(Clock::now() - revoked_at, std::chrono::seconds(1));
  EXPECT_EQ(code_of(client->create_gallery({})), ErrorCode::refused);
  EXPECT_EQ(code_of(client->get_gallery({})), ErrorCode::refused);
  EXPECT_EQ(code_of(client->delete_gallery({})), ErrorCode::refused);
  EXPECT_EQ(code_of(client->erase({})), ErrorCode::refused);
  EXPECT_EQ(code_of(client->renew_gallery({})), ErrorCode::refused);
  v1::EnrolRequest enrol;
  enrol.set_edge_id("door");
  EXPECT_EQ(code_of(client->enrol(enrol)), ErrorCode::refused);
  v1::IdentifyRequest identify;
  identify.set_edge_id("door");
  EXPECT_EQ(code_of(client->identify(identify)), ErrorCode::refused);
  v1::VerifyRequest verify;
  verify.set_edge_id("door");
  EXPECT_EQ(code_of(client->verify(verify)), ErrorCode::refused);
}

TEST_F(RevocationTest, CertificatesOfOtherRolesAreNoEdges) {
  grants_->give("storage");
  grants_->give("worker-1");
  NewCertificate worker{"worker-1", {"127.0.0.1"}, 1};
  worker.role = Role::worker;
  const TlsFiles as_worker =
      issue_certificate(directory_ / "ca", worker, directory_ / "of").value();
  for (const TlsFiles& tls : {issue("storage"), issue("key"), as_worker}) {
    const auto client = connect_auth({address(), tls}).value();
    EXPECT_EQ(client->list_galleries({}).error().code, ErrorCode::refused);
  }
}

}  // namespace
}  // namespace bauta::transport
