#include "services/transport/server.h"

#include <atomic>
#include <chrono>
#include <exception>

#include <grpc/grpc_security_constants.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include "bauta/v1/auth.grpc.pb.h"
#include "bauta/v1/key.grpc.pb.h"
#include "bauta/v1/platform.grpc.pb.h"
#include "services/transport/gatekeeper.h"
#include "services/transport/status.h"
#include "services/transport/tls_credentials.h"

namespace bauta::transport {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kRequestIdField = "bauta-request-id";
constexpr const char* kCommonNameProperty = "x509_common_name";

std::string common_name(const grpc::ServerContext& context) {
  const auto names = context.auth_context()->FindPropertyValues(kCommonNameProperty);
  return names.size() == 1 ? std::string(names.front().data(), names.front().size())
                           : std::string();
}

std::string request_id_of(const grpc::ServerContext& context) {
  const auto field = context.client_metadata().find(kRequestIdField);
  return field == context.client_metadata().end()
             ? std::string()
             : std::string(field->second.data(), field->second.size());
}

// Whom the certificate names. Error refused: it does not say what its owner is.
Result<Party> caller_of(const grpc::ServerContext& context) {
  std::vector<std::string> uris;
  for (const grpc::string_ref& uri :
       context.auth_context()->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME))
    uris.emplace_back(uri.data(), uri.size());
  return party_of(uris, common_name(context));
}

// Asked many times a second, and of no interest while it succeeds.
constexpr std::string_view kSilent = "bauta.v1.Key.GetGrants";

// What every call passes through: who calls, whether it may, how many there are, and an exception's
// end.
class Gate {
 public:
  Gate(int max_concurrent_calls, Access access, CallObserver observer)
      : max_concurrent_calls_(max_concurrent_calls),
        gatekeeper_(std::move(access)),
        observer_(std::move(observer)) {}

  // One call. Again: whether the caller still may.
  struct Admitted {
    Party caller;
    std::function<Status()> again;
  };

  // serve(Admitted) -> Status.
  template <typename Request, typename Serve>
  grpc::Status pass(const char* method, const BoundRule& rule, const grpc::ServerContext& context,
                    const Request& request, Serve serve) {
    ServedCall call;
    const auto start = Clock::now();
    call.method = method;
    const Result<Party> caller = caller_of(context);
    call.peer = caller.ok() ? caller->name : common_name(context);
    set_request_id(request_id_of(context));
    call.request_id = request_id();
    const Status status =
        caller.ok() ? guarded(*caller, rule, request, serve) : Status(caller.error());
    call.duration_us =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
    if (!status.ok()) call.error = &status.error();
    if (observer_ && (call.error != nullptr || rule.rule().rpc != kSilent)) observer_(call);
    return status.ok() ? grpc::Status::OK : to_grpc(status.error());
  }

  const Gatekeeper& keeper() const { return gatekeeper_; }

 private:
  template <typename Request, typename Serve>
  Status guarded(const Party& caller, const BoundRule& rule, const Request& request, Serve serve) {
    const Admitted admitted{caller, [&] { return gatekeeper_.check(caller, rule, request); }};
    const Place place(calls_);
    try {
      BAUTA_CHECK(admitted.again());
      if (place.number > max_concurrent_calls_)
        return make_error(ErrorCode::busy, "{} requests are at work already; try again",
                          max_concurrent_calls_);
      return serve(admitted);
    } catch (const std::exception& exception) {
      return make_error(ErrorCode::internal, "internal error: {}", exception.what());
    }
  }

  struct Place {
    explicit Place(std::atomic<int>& all) : calls(all), number(++all) {}
    ~Place() { --calls; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    std::atomic<int>& calls;
    int number;
  };

  const int max_concurrent_calls_;
  const Gatekeeper gatekeeper_;
  const CallObserver observer_;
  std::atomic<int> calls_{0};
};

template <typename Service, typename Request, typename Reply>
using Method = Result<Reply> (Service::*)(const Request&);

// One unary rpc: the gate, then the service.
template <typename Service, typename Request, typename Reply>
grpc::Status serve(Gate& gate, const char* name, const BoundRule& rule, Service& service,
                   Method<Service, Request, Reply> method, const grpc::ServerContext& context,
                   const Request& request, Reply& reply) {
  return gate.pass(name, rule, context, request, [&](const Gate::Admitted&) -> Status {
    BAUTA_TRY(reply, (service.*method)(request));
    return {};
  });
}

template <typename Service, typename Request, typename Reply>
grpc::Status serve_streamed(Gate& gate, const char* name, const BoundRule& rule, Service& service,
                            Method<Service, Request, Reply> method,
                            const grpc::ServerContext& context, const Request& request,
                            grpc::ServerWriter<v1::Chunk>& writer) {
  return gate.pass(name, rule, context, request, [&](const Gate::Admitted& admitted) -> Status {
    BAUTA_TRY(const Reply reply, (service.*method)(request));
    std::string bytes;
    if (reply.ByteSizeLong() >= kMaxStreamedReply_bytes || !reply.SerializeToString(&bytes))
      return make_error(ErrorCode::no_space, "the answer is larger than {} bytes",
                        kMaxStreamedReply_bytes);
    v1::Chunk chunk;
    for (size_t offset = 0; offset < bytes.size(); offset += kChunk_bytes) {
      BAUTA_CHECK(admitted.again());
      chunk.set_part(bytes.substr(offset, kChunk_bytes));
      if (!writer.Write(chunk)) return make_error(ErrorCode::unavailable, "the caller went away");
    }
    return {};
  });
}

// The line of a service's rpc; found once.
#define BAUTA_RULE(Rpc, RequestType) \
  static const BoundRule rule =      \
      BoundRule::find(std::string(kService) + #Rpc, v1::RequestType::default_instance())

#define BAUTA_RPC(Rpc, RequestType, ReplyType, method)                                     \
  grpc::Status Rpc(grpc::ServerContext* context, const v1::RequestType* request,           \
                   v1::ReplyType* reply) override {                                        \
    BAUTA_RULE(Rpc, RequestType);                                                          \
    return serve(gate_, #Rpc, rule, service_,                                              \
                 &std::remove_reference_t<decltype(service_)>::method, *context, *request, \
                 *reply);                                                                  \
  }

// The same with the reply in chunks.
#define BAUTA_STREAMED_RPC(Rpc, RequestType, method)                                      \
  grpc::Status Rpc(grpc::ServerContext* context, const v1::RequestType* request,          \
                   grpc::ServerWriter<v1::Chunk>* writer) override {                      \
    BAUTA_RULE(Rpc, RequestType);                                                         \
    return serve_streamed(gate_, #Rpc, rule, service_,                                    \
                          &std::remove_reference_t<decltype(service_)>::method, *context, \
                          *request, *writer);                                             \
  }

class AuthRpcs final : public v1::Auth::Service {
 public:
  AuthRpcs(AuthService& service, Gate& gate) : service_(service), gate_(gate) {}

  BAUTA_RPC(CreateGallery, CreateGalleryRequest, Gallery, create_gallery)
  // Those that the edge may know of.
  grpc::Status ListGalleries(grpc::ServerContext* context, const v1::ListGalleriesRequest* request,
                             v1::ListGalleriesReply* reply) override {
    BAUTA_RULE(ListGalleries, ListGalleriesRequest);
    return gate_.pass(
        "ListGalleries", rule, *context, *request, [&](const Gate::Admitted& admitted) -> Status {
          BAUTA_TRY(const v1::ListGalleriesReply all, service_.list_galleries(*request));
          for (const v1::Gallery& gallery : all.galleries())
            if (gate_.keeper().may_see(admitted.caller, gallery.gallery(), gallery.key_id()))
              *reply->add_galleries() = gallery;
          return {};
        });
  }
  BAUTA_RPC(GetGallery, GetGalleryRequest, Gallery, get_gallery)
  BAUTA_RPC(DeleteGallery, DeleteGalleryRequest, DeleteGalleryReply, delete_gallery)
  BAUTA_RPC(Enrol, EnrolRequest, EnrolReply, enrol)
  BAUTA_RPC(Erase, EraseRequest, EraseReply, erase)
  BAUTA_RPC(Identify, IdentifyRequest, IdentifyReply, identify)
  BAUTA_RPC(Verify, VerifyRequest, VerifyReply, verify)
  BAUTA_RPC(RenewGallery, RenewGalleryRequest, Renewal, renew_gallery)

 private:
  static constexpr const char* kService = "bauta.v1.Auth.";
  AuthService& service_;
  Gate& gate_;
};

class KeyRpcs final : public v1::Key::Service {
 public:
  KeyRpcs(KeyService& service, Gate& gate) : service_(service), gate_(gate) {}

  BAUTA_STREAMED_RPC(GetEvaluationKeys, GetEvaluationKeysRequest, get_evaluation_keys)
  BAUTA_STREAMED_RPC(GetImageKeys, GetImageKeysRequest, get_image_keys)
  BAUTA_RPC(GetEdgeSwitchingKey, GetEdgeSwitchingKeyRequest, EdgeSwitchingKey,
            get_edge_switching_key)
  BAUTA_RPC(GetRenewalKey, GetRenewalKeyRequest, RenewalKey, get_renewal_key)
  BAUTA_RPC(GetGrants, GetGrantsRequest, GetGrantsReply, get_grants)
  BAUTA_RPC(Admit, AdmitRequest, AdmitReply, admit)
  BAUTA_RPC(GetSuccessor, GetSuccessorRequest, GetSuccessorReply, get_successor)
  BAUTA_RPC(RegisterContract, RegisterContractRequest, RegisterContractReply, register_contract)
  BAUTA_RPC(Decide, DecideRequest, DecideReply, decide)

 private:
  static constexpr const char* kService = "bauta.v1.Key.";
  KeyService& service_;
  Gate& gate_;
};

class EdgeKeyRpcs final : public v1::EdgeKeys::Service {
 public:
  EdgeKeyRpcs(EdgeKeyService& service, Gate& gate) : service_(service), gate_(gate) {}

  BAUTA_RPC(GetActiveKey, GetActiveKeyRequest, ActiveKey, get_active_key)
  BAUTA_RPC(GetEdgeKey, GetEdgeKeyRequest, EdgeKey, get_edge_key)

 private:
  static constexpr const char* kService = "bauta.v1.EdgeKeys.";
  EdgeKeyService& service_;
  Gate& gate_;
};

class CollectionRpcs final : public v1::Collection::Service {
 public:
  CollectionRpcs(CollectionService& service, Gate& gate) : service_(service), gate_(gate) {}

  BAUTA_RPC(ReadLog, ReadLogRequest, ReadLogReply, read_log)
  BAUTA_STREAMED_RPC(ExportGallery, ExportGalleryRequest, export_gallery)

 private:
  static constexpr const char* kService = "bauta.v1.Collection.";
  CollectionService& service_;
  Gate& gate_;
};

class OversightRpcs final : public v1::Oversight::Service {
 public:
  OversightRpcs(OversightService& service, Gate& gate) : service_(service), gate_(gate) {}

  BAUTA_RPC(ListKeys, ListKeysRequest, ListKeysReply, list_keys)
  BAUTA_RPC(CheckDecisions, CheckDecisionsRequest, CheckDecisionsReply, check_decisions)

 private:
  static constexpr const char* kService = "bauta.v1.Oversight.";
  OversightService& service_;
  Gate& gate_;
};

class StorageRpcs final : public v1::Storage::Service {
 public:
  StorageRpcs(StorageService& service, Gate& gate) : service_(service), gate_(gate) {}

  BAUTA_RPC(PutPackage, PutPackageRequest, PutPackageReply, put_package)
  BAUTA_RPC(GetPackage, GetPackageRequest, Package, get_package)
  BAUTA_RPC(DeletePackage, DeletePackageRequest, DeletePackageReply, delete_package)
  BAUTA_RPC(AppendLog, AppendLogRequest, AppendLogReply, append_log)
  BAUTA_RPC(FindLog, FindLogRequest, FindLogReply, find_log)
  BAUTA_RPC(PutBackup, PutBackupRequest, PutBackupReply, put_backup)
  BAUTA_RPC(ListBackups, ListBackupsRequest, ListBackupsReply, list_backups)
  BAUTA_RPC(DeleteBackup, DeleteBackupRequest, DeleteBackupReply, delete_backup)
  BAUTA_STREAMED_RPC(GetBackup, GetBackupRequest, get_backup)

 private:
  static constexpr const char* kService = "bauta.v1.Storage.";
  StorageService& service_;
  Gate& gate_;
};

#undef BAUTA_STREAMED_RPC
#undef BAUTA_RPC
#undef BAUTA_RULE

class RunningServer final : public Server {
 public:
  RunningServer(const ServerOptions& options, CallObserver observer)
      : gate_(options.max_concurrent_calls, options.access, std::move(observer)) {}
  ~RunningServer() override { drain(0); }

  Gate& gate() { return gate_; }
  void add(std::unique_ptr<grpc::Service> service) { services_.push_back(std::move(service)); }

  Status start(const ServerOptions& options, size_t max_request_bytes) {
    BAUTA_TRY(const std::shared_ptr<grpc::ServerCredentials> credentials,
              server_credentials(options.tls));
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options.listen, credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    builder.SetMaxReceiveMessageSize(static_cast<int>(max_request_bytes));
    builder.SetMaxSendMessageSize(static_cast<int>(kMaxReply_bytes));
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0)
      return make_error(ErrorCode::busy,
                        "cannot listen on {}: another program has the port, or the address is "
                        "not of this machine",
                        options.listen);
    return {};
  }

  int port() const override { return port_; }

  void drain(int64_t timeout_ms) override {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    server_->Wait();
    server_.reset();
  }

 private:
  Gate gate_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::serve_auth(const ServerOptions& options, AuthService& auth,
                                                   CallObserver observer,
                                                   CollectionService* collection) {
  BAUTA_ASSERT(options.access.grants != nullptr);
  auto server = std::make_unique<RunningServer>(options, std::move(observer));
  server->add(std::make_unique<AuthRpcs>(auth, server->gate()));
  if (collection != nullptr)
    server->add(std::make_unique<CollectionRpcs>(*collection, server->gate()));
  BAUTA_CHECK(server->start(options, kMaxAuthRequest_bytes));
  return std::unique_ptr<Server>(std::move(server));
}

Result<std::unique_ptr<Server>> Server::serve_key(const ServerOptions& options, KeyService& key,
                                                  EdgeKeyService& edge_keys, CallObserver observer,
                                                  OversightService* oversight) {
  BAUTA_ASSERT(options.access.grants != nullptr);
  auto server = std::make_unique<RunningServer>(options, std::move(observer));
  server->add(std::make_unique<KeyRpcs>(key, server->gate()));
  server->add(std::make_unique<EdgeKeyRpcs>(edge_keys, server->gate()));
  if (oversight != nullptr)
    server->add(std::make_unique<OversightRpcs>(*oversight, server->gate()));
  BAUTA_CHECK(server->start(options, kMaxDecideRequest_bytes));
  return std::unique_ptr<Server>(std::move(server));
}

Result<std::unique_ptr<Server>> Server::serve_storage(const ServerOptions& options,
                                                      StorageService& storage,
                                                      CallObserver observer) {
  auto server = std::make_unique<RunningServer>(options, std::move(observer));
  server->add(std::make_unique<StorageRpcs>(storage, server->gate()));
  BAUTA_CHECK(server->start(options, kMaxStorageRequest_bytes));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace bauta::transport
