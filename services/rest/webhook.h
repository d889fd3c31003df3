// Tells another system of each decision: a signed POST, with what was decided and nothing else of
// the person. docs/operations/services.md says what a receiver checks.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/secret.h"
#include "services/edge/edge.h"

namespace bauta::rest {

struct WebhookOptions {
  std::string url;                  // https://HOST[:PORT]/PATH; http:// to this machine only
  std::filesystem::path secret;     // 16 to 4,096 bytes, readable by its owner only
  std::filesystem::path authority;  // PEM, whose certificate the receiver has
  int attempts = 6;
  int64_t first_retry_ms = 1000;  // doubles with each
  size_t max_waiting = 1000;      // decisions; more are given up at once
};

// A decision, as it is sent.
struct Decided {
  std::string operation;  // "identify" or "verify"
  std::string gallery;
  std::string decision;  // "accepted" or "rejected"
  std::string subject;   // identify: who was accepted; verify: who was claimed to be
  std::string request_id;
  std::string presentation = "not_checked";  // face::presentation_name
  edge::Timings timings{};                   // not sent
};

// What became of one: "ok", "given up" or "no room", and for the log why.
struct Delivery {
  std::string outcome, request_id, detail;
  int64_t duration_us = 0;
};
using DeliveryObserver = std::function<void(const Delivery&)>;

// Thread-safe. One decision after another, in order, from a thread of its own.
class Webhook {
 public:
  // Errors: invalid_argument, when the URL or the secret is of no use; refused, when others can
  // read the secret; not_found.
  static Result<std::unique_ptr<Webhook>> start(const WebhookOptions& options,
                                                DeliveryObserver observer = {});
  // Gives up what is not delivered yet.
  ~Webhook();

  // Does not wait.
  void send(const Decided& decided);

 private:
  struct Notice {
    std::string body, request_id;
  };
  class Receiver;

  Webhook(const WebhookOptions& options, SecretBytes secret, std::unique_ptr<Receiver> receiver,
          DeliveryObserver observer);
  void deliver_all();
  // Until it is taken, refused for good, or out of attempts.
  Delivery deliver(const Notice& notice);
  void report(const Delivery& delivery) const;

  const WebhookOptions options_;
  const SecretBytes secret_;
  const std::unique_ptr<Receiver> receiver_;
  const DeliveryObserver observer_;
  std::mutex mutex_;  // guards the three below
  std::condition_variable changed_;
  std::deque<Notice> waiting_;
  bool stop_ = false;
  std::thread thread_;
};

// The value of the header Bauta-Signature: "t=SECONDS,v1=HEX", HEX the HMAC-SHA256 of
// "SECONDS.BODY".
std::string webhook_signature(const SecretBytes& secret, int64_t time_s, const std::string& body);

}  // namespace bauta::rest
