// Real connections to a receiver on loopback.
#include "services/rest/webhook.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

#include "base/file.h"
#include "services/rest/json.h"

namespace bauta::rest {
namespace {

const std::string kSecret = "0123456789abcdef0123456789abcdef";

struct Received {
  std::string body, signature;
};

class WebhookTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "bauta-webhook-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    ASSERT_TRUE(write_file_atomically(directory_ / "secret", as_bytes(kSecret), 0600).ok());
    server_.Post("/told", [this](const httplib::Request& request, httplib::Response& response) {
      std::lock_guard lock(mutex_);
      received_.push_back({request.body, request.get_header_value("Bauta-Signature")});
      response.status = answers_.empty() ? 204 : answers_.front();
      if (!answers_.empty()) answers_.erase(answers_.begin());
    });
    const int port = server_.bind_to_any_port("127.0.0.1");
    options_.url = fmt::format("http://127.0.0.1:{}/told", port);
    options_.secret = directory_ / "secret";
    options_.first_retry_ms = 1;
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  void TearDown() override {
    webhook_.reset();
    server_.stop();
    thread_.join();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    webhook_ = Webhook::start(options_, [this](const Delivery& delivery) {
                 std::lock_guard lock(mutex_);
                 outcomes_.push_back(delivery.outcome);
               }).value();
  }
  // Waits for so many outcomes.
  std::vector<std::string> outcomes(size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      {
        std::lock_guard lock(mutex_);
        if (outcomes_.size() >= count || std::chrono::steady_clock::now() > deadline)
          return outcomes_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  std::filesystem::path directory_;
  httplib::Server server_;
  std::thread thread_;
  WebhookOptions options_;
  std::mutex mutex_;  // guards the three below
  std::vector<int> answers_;
  std::vector<Received> received_;
  std::vector<std::string> outcomes_;
  std::unique_ptr<Webhook> webhook_;
};

SecretBytes secret_of(const std::string& text) {
  SecretBytes secret = SecretBytes::create(text.size()).value();
  std::ranges::copy(text, secret.data());
  return secret;
}

TEST_F(WebhookTest, TellsTheDecisionAndNothingElseSigned) {
  start();
  webhook_->send({"identify", "door", "accepted", "s17", "request-1"});
  EXPECT_THAT(outcomes(1), testing::ElementsAre("ok"));
  ASSERT_EQ(received_.size(), 1u);
  const Json body = Json::parse(received_[0].body);
  std::vector<std::string> names;
  for (const auto& [name, value] : body.items()) names.push_back(name);
  EXPECT_THAT(names,
              testing::UnorderedElementsAre("id", "time_s", "operation", "gallery", "decision",
                                            "subject", "presentation", "request_id"));
  EXPECT_EQ(body["operation"], "identify");
  EXPECT_EQ(body["gallery"], "door");
  EXPECT_EQ(body["decision"], "accepted");
  EXPECT_EQ(body["subject"], "s17");
  EXPECT_EQ(body["request_id"], "request-1");
  const std::string& signature = received_[0].signature;
  ASSERT_TRUE(signature.starts_with("t="));
  const int64_t time_s = std::atoll(signature.c_str() + 2);
  EXPECT_EQ(signature, webhook_signature(secret_of(kSecret), time_s, received_[0].body));
}

// Computed with `openssl dgst -sha256 -hmac`.
TEST_F(WebhookTest, SignatureIsTheKnownAnswer) {
  EXPECT_EQ(webhook_signature(secret_of(kSecret), 1700000000, "{}"),
            "t=1700000000,v1=417adf36b901772f658597a76d329694e335e65fc0849d7715c3ca33406309b5");
}

TEST_F(WebhookTest, TriesAgainAfterFailuresOfTheReceiverWithTheSameId) {
  answers_ = {500, 503, 429, 200};
  start();
  webhook_->send({"verify", "door", "rejected", "s17", "r"});
  EXPECT_THAT(outcomes(1), testing::ElementsAre("ok"));
  ASSERT_EQ(received_.size(), 4u);
  for (const Received& received : received_) EXPECT_EQ(received.body, received_[0].body);
}

TEST_F(WebhookTest, GivesUpAfterItsAttemptsOrAtOnceWhenRefused) {
  options_.attempts = 3;
  answers_ = {500, 500, 500, 400, 302, 302, 302};
  start();
  for (int i = 0; i < 4; ++i) webhook_->send({"identify", "door", "rejected", "", "r"});
  EXPECT_THAT(outcomes(4), testing::ElementsAre("given up", "given up", "given up", "ok"));
  EXPECT_EQ(received_.size(), 8u);
  EXPECT_TRUE(Json::parse(received_[0].body)["subject"].is_null());
}

TEST_F(WebhookTest, KeepsNoMoreThanThereIsRoomForAndEndsAtOnce) {
  options_.max_waiting = 2;
  options_.first_retry_ms = 600'000;
  answers_ = {500};
  start();
  webhook_->send({"identify", "door", "rejected", "", "r"});
  for (bool asked = false; !asked;) {
    std::lock_guard lock(mutex_);
    asked = !received_.empty();
  }
  for (int i = 0; i < 3; ++i) webhook_->send({"identify", "door", "rejected", "", "r"});
  EXPECT_THAT(outcomes(1), testing::ElementsAre("no room"));
  webhook_.reset();
  EXPECT_THAT(outcomes(4), testing::ElementsAre("no room", "given up", "given up", "given up"));
}

TEST_F(WebhookTest, OptionsOfNoUseAreRefused) {
  const auto code = [this] { return Webhook::start(options_).error().code; };
  const WebhookOptions good = options_;
  for (const char* url :
       {"", "ftp://localhost/", "http://example.org/", "https://", "https:///x",
        "http://localhost.example.org/", "https://user@example.org/", "https://example.org/a b"}) {
    options_.url = url;
    EXPECT_EQ(code(), ErrorCode::invalid_argument) << url;
  }
  options_ = good;
  options_.secret = directory_ / "none";
  EXPECT_EQ(code(), ErrorCode::not_found);
  ASSERT_TRUE(write_file_atomically(directory_ / "short", as_bytes("short"), 0600).ok());
  options_.secret = directory_ / "short";
  EXPECT_EQ(code(), ErrorCode::invalid_argument);
  ASSERT_EQ(chmod((directory_ / "secret").c_str(), 0644), 0);
  options_.secret = directory_ / "secret";
  EXPECT_EQ(code(), ErrorCode::refused);
}

}  // namespace
}  // namespace bauta::rest
