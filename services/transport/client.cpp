#include "services/transport/client.h"

#include <chrono>
#include <thread>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include "bauta/v1/auth.grpc.pb.h"
#include "bauta/v1/key.grpc.pb.h"
#include "bauta/v1/platform.grpc.pb.h"
#include "services/transport/status.h"
#include "services/transport/tls_credentials.h"

namespace bauta::transport {
namespace {

using Clock = std::chrono::system_clock;

constexpr const char* kRequestIdField = "bauta-request-id";
constexpr int kAttempts = 3;
constexpr std::chrono::milliseconds kFirstRetryAfter(100);
constexpr int64_t kKeyGenerationDeadlines = 4;

Clock::time_point in(int64_t timeout_ms) {
  return Clock::now() + std::chrono::milliseconds(timeout_ms);
}

// How a call may be made.
struct Call {
  bool idempotent = false;
  int64_t deadlines = 1;
};

// A channel to one server, and calls over it.
class Connection {
 public:
  static Result<Connection> create(const ClientOptions& options, std::string_view name) {
    BAUTA_TRY(const std::shared_ptr<grpc::ChannelCredentials> credentials,
              client_credentials(options.tls));
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(std::string(name));
    arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxReply_bytes));
    arguments.SetMaxSendMessageSize(static_cast<int>(kMaxDecideRequest_bytes));
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // A server that is gone without a word is noticed within half a minute.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    return Connection(options, grpc::CreateCustomChannel(options.address, credentials, arguments),
                      fmt::format("the {} server at {}", name, options.address));
  }

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // once(context) -> grpc::Status, again after failures that another attempt may cure.
  template <typename Once>
  Status call(const Call& how, Once once) {
    auto retry_after = kFirstRetryAfter;
    for (int attempt = 1;; ++attempt) {
      // Waiting here, rather than in the call, tells "not sent" from "perhaps received".
      if (!channel_->WaitForConnected(in(options_.connect_timeout_ms)))
        return make_error(ErrorCode::unavailable,
                          "{} does not answer; is it running, and are both certificates of the "
                          "same authority?",
                          peer_);
      grpc::ClientContext context;
      context.set_deadline(in(options_.deadline_ms * how.deadlines));
      if (!request_id().empty()) context.AddMetadata(kRequestIdField, request_id());
      const grpc::Status status = once(context);
      if (status.ok()) return {};
      const bool lost =
          status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty();
      if (!lost || !how.idempotent || attempt == kAttempts) return from_grpc(status, peer_);
      std::this_thread::sleep_for(retry_after);
      retry_after *= 4;
    }
  }

  const std::string& peer() const { return peer_; }

 private:
  Connection(const ClientOptions& options, std::shared_ptr<grpc::Channel> channel, std::string peer)
      : options_(options), channel_(std::move(channel)), peer_(std::move(peer)) {}

  ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::string peer_;
};

// A generated stub and its connection. Rpc: the stub's method.
template <typename Service>
class Client {
 public:
  explicit Client(Connection connection)
      : connection_(std::move(connection)), stub_(Service::NewStub(connection_.channel())) {}

  template <typename Request, typename Reply>
  Result<Reply> call(grpc::Status (Service::Stub::*rpc)(grpc::ClientContext*, const Request&,
                                                        Reply*),
                     const Request& request, const Call& how = {}) {
    Reply reply;
    BAUTA_CHECK(connection_.call(how, [&](grpc::ClientContext& context) {
      return (stub_.get()->*rpc)(&context, request, &reply);
    }));
    return reply;
  }

  // A reply that arrives in chunks.
  template <typename Reply, typename Request>
  Result<Reply> call_streamed(std::unique_ptr<grpc::ClientReader<v1::Chunk>> (Service::Stub::*rpc)(
                                  grpc::ClientContext*, const Request&),
                              const Request& request, const Call& how = {}) {
    std::string bytes;
    BAUTA_CHECK(connection_.call(how, [&](grpc::ClientContext& context) {
      bytes.clear();
      const auto reader = (stub_.get()->*rpc)(&context, request);
      v1::Chunk chunk;
      while (reader->Read(&chunk)) {
        if (bytes.size() + chunk.part().size() > kMaxStreamedReply_bytes)
          context.TryCancel();
        else
          bytes += chunk.part();
      }
      return reader->Finish();
    }));
    Reply reply;
    if (!reply.ParseFromString(bytes))
      return make_error(ErrorCode::corrupt, "the answer of {} cannot be read", connection_.peer());
    return reply;
  }

 private:
  Connection connection_;
  std::unique_ptr<typename Service::Stub> stub_;
};

constexpr Call kRead{.idempotent = true};
constexpr Call kChange{};
constexpr Call kMakesKeys{.deadlines = kKeyGenerationDeadlines};
constexpr Call kReadsKeys{.idempotent = true, .deadlines = kKeyGenerationDeadlines};

class AuthClient final : public AuthService {
 public:
  explicit AuthClient(Connection connection) : client_(std::move(connection)) {}

  Result<v1::Gallery> create_gallery(const v1::CreateGalleryRequest& request) override {
    return client_.call(&Stub::CreateGallery, request, kMakesKeys);
  }
  Result<v1::ListGalleriesReply> list_galleries(const v1::ListGalleriesRequest& request) override {
    return client_.call(&Stub::ListGalleries, request, kRead);
  }
  Result<v1::Gallery> get_gallery(const v1::GetGalleryRequest& request) override {
    return client_.call(&Stub::GetGallery, request, kRead);
  }
  Result<v1::DeleteGalleryReply> delete_gallery(const v1::DeleteGalleryRequest& request) override {
    return client_.call(&Stub::DeleteGallery, request, kChange);
  }
  Result<v1::EnrolReply> enrol(const v1::EnrolRequest& request) override {
    return client_.call(&Stub::Enrol, request, kChange);
  }
  Result<v1::EraseReply> erase(const v1::EraseRequest& request) override {
    return client_.call(&Stub::Erase, request, kChange);
  }
  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& request) override {
    return client_.call(&Stub::Identify, request, kChange);
  }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest& request) override {
    return client_.call(&Stub::Verify, request, kChange);
  }
  Result<v1::Renewal> renew_gallery(const v1::RenewGalleryRequest& request) override {
    return client_.call(&Stub::RenewGallery, request, kRead);
  }

 private:
  using Stub = v1::Auth::Stub;
  Client<v1::Auth> client_;
};

class KeyClient final : public KeyService {
 public:
  explicit KeyClient(Connection connection) : client_(std::move(connection)) {}

  Result<v1::EvaluationKeys> get_evaluation_keys(
      const v1::GetEvaluationKeysRequest& request) override {
    return client_.call_streamed<v1::EvaluationKeys>(&Stub::GetEvaluationKeys, request, kReadsKeys);
  }
  Result<v1::EdgeSwitchingKey> get_edge_switching_key(
      const v1::GetEdgeSwitchingKeyRequest& request) override {
    return client_.call(&Stub::GetEdgeSwitchingKey, request, kReadsKeys);
  }
  Result<v1::ImageKeys> get_image_keys(const v1::GetImageKeysRequest& request) override {
    return client_.call_streamed<v1::ImageKeys>(&Stub::GetImageKeys, request, kReadsKeys);
  }
  Result<v1::RenewalKey> get_renewal_key(const v1::GetRenewalKeyRequest& request) override {
    return client_.call(&Stub::GetRenewalKey, request, kReadsKeys);
  }
  Result<v1::GetGrantsReply> get_grants(const v1::GetGrantsRequest& request) override {
    return client_.call(&Stub::GetGrants, request, kRead);
  }
  Result<v1::AdmitReply> admit(const v1::AdmitRequest& request) override {
    return client_.call(&Stub::Admit, request, kRead);
  }
  Result<v1::GetSuccessorReply> get_successor(const v1::GetSuccessorRequest& request) override {
    return client_.call(&Stub::GetSuccessor, request, kRead);
  }
  Result<v1::RegisterContractReply> register_contract(
      const v1::RegisterContractRequest& request) override {
    return client_.call(&Stub::RegisterContract, request, kChange);
  }
  Result<v1::DecideReply> decide(const v1::DecideRequest& request) override {
    return client_.call(&Stub::Decide, request, kChange);
  }

 private:
  using Stub = v1::Key::Stub;
  Client<v1::Key> client_;
};

class EdgeKeyClient final : public EdgeKeyService {
 public:
  explicit EdgeKeyClient(Connection connection) : client_(std::move(connection)) {}

  Result<v1::ActiveKey> get_active_key(const v1::GetActiveKeyRequest& request) override {
    return client_.call(&Stub::GetActiveKey, request, kRead);
  }
  Result<v1::EdgeKey> get_edge_key(const v1::GetEdgeKeyRequest& request) override {
    return client_.call(&Stub::GetEdgeKey, request, kChange);
  }

 private:
  using Stub = v1::EdgeKeys::Stub;
  Client<v1::EdgeKeys> client_;
};

class CollectionClient final : public CollectionService {
 public:
  explicit CollectionClient(Connection connection) : client_(std::move(connection)) {}

  Result<v1::ReadLogReply> read_log(const v1::ReadLogRequest& request) override {
    return client_.call(&Stub::ReadLog, request, kRead);
  }
  Result<v1::GalleryBackup> export_gallery(const v1::ExportGalleryRequest& request) override {
    return client_.call_streamed<v1::GalleryBackup>(&Stub::ExportGallery, request, kRead);
  }

 private:
  using Stub = v1::Collection::Stub;
  Client<v1::Collection> client_;
};

class OversightClient final : public OversightService {
 public:
  explicit OversightClient(Connection connection) : client_(std::move(connection)) {}

  Result<v1::ListKeysReply> list_keys(const v1::ListKeysRequest& request) override {
    return client_.call(&Stub::ListKeys, request, kRead);
  }
  Result<v1::CheckDecisionsReply> check_decisions(
      const v1::CheckDecisionsRequest& request) override {
    return client_.call(&Stub::CheckDecisions, request, kRead);
  }

 private:
  using Stub = v1::Oversight::Stub;
  Client<v1::Oversight> client_;
};

// Its changes may be repeated: they are the same when they are done already.
class StorageClient final : public StorageService {
 public:
  explicit StorageClient(Connection connection) : client_(std::move(connection)) {}

  Result<v1::PutPackageReply> put_package(const v1::PutPackageRequest& request) override {
    return client_.call(&Stub::PutPackage, request, kRead);
  }
  Result<v1::Package> get_package(const v1::GetPackageRequest& request) override {
    return client_.call(&Stub::GetPackage, request, kRead);
  }
  Result<v1::DeletePackageReply> delete_package(const v1::DeletePackageRequest& request) override {
    return client_.call(&Stub::DeletePackage, request, kRead);
  }
  Result<v1::AppendLogReply> append_log(const v1::AppendLogRequest& request) override {
    return client_.call(&Stub::AppendLog, request, kRead);
  }
  Result<v1::FindLogReply> find_log(const v1::FindLogRequest& request) override {
    return client_.call(&Stub::FindLog, request, kRead);
  }
  Result<v1::PutBackupReply> put_backup(const v1::PutBackupRequest& request) override {
    return client_.call(&Stub::PutBackup, request, kChange);
  }
  Result<v1::ListBackupsReply> list_backups(const v1::ListBackupsRequest& request) override {
    return client_.call(&Stub::ListBackups, request, kRead);
  }
  Result<v1::GalleryBackup> get_backup(const v1::GetBackupRequest& request) override {
    return client_.call_streamed<v1::GalleryBackup>(&Stub::GetBackup, request, kRead);
  }
  Result<v1::DeleteBackupReply> delete_backup(const v1::DeleteBackupRequest& request) override {
    return client_.call(&Stub::DeleteBackup, request, kRead);
  }

 private:
  using Stub = v1::Storage::Stub;
  Client<v1::Storage> client_;
};

}  // namespace

Result<std::unique_ptr<AuthService>> connect_auth(const ClientOptions& options) {
  BAUTA_TRY(Connection connection, Connection::create(options, kAuthName));
  return std::unique_ptr<AuthService>(std::make_unique<AuthClient>(std::move(connection)));
}

Result<std::unique_ptr<KeyService>> connect_key(const ClientOptions& options) {
  BAUTA_TRY(Connection connection, Connection::create(options, kKeyName));
  return std::unique_ptr<KeyService>(std::make_unique<KeyClient>(std::move(connection)));
}

Result<std::unique_ptr<EdgeKeyService>> connect_edge_keys(const ClientOptions& options) {
  BAUTA_TRY(Connection connection, Connection::create(options, kKeyName));
  return std::unique_ptr<EdgeKeyService>(std::make_unique<EdgeKeyClient>(std::move(connection)));
}

Result<std::unique_ptr<CollectionService>> connect_collection(const ClientOptions& options) {
  BAUTA_TRY(Connection connection, Connection::create(options, kAuthName));
  return std::unique_ptr<CollectionService>(
      std::make_unique<CollectionClient>(std::move(connection)));
}

Result<std::unique_ptr<OversightService>> connect_oversight(const ClientOptions& options) {
  BAUTA_TRY(Connection connection, Connection::create(options, kKeyName));
  return std::unique_ptr<OversightService>(
      std::make_unique<OversightClient>(std::move(connection)));
}

Result<std::unique_ptr<StorageService>> connect_storage(const ClientOptions& options) {
  BAUTA_TRY(Connection connection, Connection::create(options, kStorageName));
  return std::unique_ptr<StorageService>(std::make_unique<StorageClient>(std::move(connection)));
}

}  // namespace bauta::transport
