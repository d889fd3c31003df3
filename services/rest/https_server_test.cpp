// Real connections on loopback, before fake servers.
#include "services/rest/https_server.h"

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "services/rest/fake_services.h"
#include "services/rest/https_client.h"
#include "services/transport/certificates.h"

namespace bauta::rest {
namespace {

using Clock = std::chrono::steady_clock;

class HttpsServerTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto authority = edge_.directory / "tls";
    ASSERT_TRUE(transport::create_authority(authority).ok());
    const auto files = transport::issue_certificate(authority, {"edge", {"localhost"}}, authority);
    ASSERT_TRUE(files.ok());
    options_ = {"127.0.0.1:0", files->certificate, files->private_key};
  }
  void start() {
    server_ = HttpsServer::start(options_, *edge_.api, [this](const ServedRequest& served) {
                last_status_ = served.status;
              }).value();
  }
  HttpsClient client() {
    return {"localhost", server_->port(), edge_.directory / "tls/ca.pem", "secret"};
  }

  FakeEdge edge_;
  HttpsOptions options_;
  std::atomic<int> last_status_{0};
  std::unique_ptr<HttpsServer> server_;
};

TEST_F(HttpsServerTest, AnswersAndRecordsAnException) {
  edge_.auth.on_delete = [](const std::string&) -> Status { throw std::runtime_error("thrown"); };
  start();
  const ClientReply reply = client().remove("/v1/galleries/g").value();
  EXPECT_EQ(reply.status, 500);
  EXPECT_NE(reply.body.find("\"title\":\"internal\""), std::string::npos) << reply.body;
  EXPECT_EQ(last_status_, 500);
  EXPECT_EQ(client().get("/v1/version").value().status, 200);
}

TEST_F(HttpsServerTest, KeepsNoDescriptorOfAClosedConnection) {
  start();
  const auto open_descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = open_descriptors();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(client().get("/v1/version").value().status, 200);
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (open_descriptors() > before && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_LE(open_descriptors(), before);
}

TEST_F(HttpsServerTest, ListensOnIpv6) {
  options_.listen = "[::1]:0";
  auto server = HttpsServer::start(options_, *edge_.api);
  // A machine may have no IPv6; then the bind is what fails.
  if (!server.ok()) GTEST_SKIP() << "no IPv6 here: " << server.error().message;
  EXPECT_GT((*server)->port(), 0);
}

TEST_F(HttpsServerTest, RefusesWhatIsNoAddress) {
  options_.listen = "::1:8443";
  EXPECT_EQ(HttpsServer::start(options_, *edge_.api).error().code, ErrorCode::invalid_argument);
}

TEST_F(HttpsServerTest, DrainingWaitsNoLongerThanAsked) {
  std::promise<void> begun;
  edge_.auth.on_delete = [&](const std::string&) {
    begun.set_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return Status();
  };
  start();
  HttpsClient idle = client(), working = client();
  ASSERT_EQ(idle.get("/v1/version").value().status, 200);
  auto answer = std::async(std::launch::async,
                           [&] { return working.remove("/v1/galleries/g").value().status; });
  begun.get_future().wait();
  const auto start = Clock::now();
  server_->drain(2000);
  EXPECT_EQ(answer.get(), 204);
  // Far less than an idle connection may last.
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(6000));
}

}  // namespace
}  // namespace bauta::rest
