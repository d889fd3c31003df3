// Every rpc x role x grant x own or foreign gallery, made from the descriptors.

#include "services/transport/gatekeeper.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include "bauta/v1/auth.pb.h"
#include "bauta/v1/key.pb.h"
#include "bauta/v1/platform.pb.h"
#include "services/grants/test_grants.h"

namespace bauta::transport {
namespace {

namespace fs = std::filesystem;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;
using grants::Right;

constexpr const char* kEdge = "door";
constexpr const char* kTenant = "tenant";

std::vector<const google::protobuf::MethodDescriptor*> all_rpcs() {
  std::vector<const google::protobuf::MethodDescriptor*> rpcs;
  for (const FileDescriptor* file :
       {v1::GetGalleryRequest::descriptor()->file(), v1::DecideRequest::descriptor()->file(),
        v1::ReadLogRequest::descriptor()->file()})
    for (int s = 0; s < file->service_count(); ++s)
      for (int m = 0; m < file->service(s)->method_count(); ++m)
        rpcs.push_back(file->service(s)->method(m));
  return rpcs;
}

// Puts a text where the path leads, one message deep at most.
void put(Message& message, std::string_view path, const std::string& text) {
  if (path.empty()) return;
  const size_t dot = path.find('.');
  const FieldDescriptor* const field =
      message.GetDescriptor()->FindFieldByName(std::string(path.substr(0, dot)));
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (dot == std::string_view::npos)
    reflection.SetString(&message, field, text);
  else if (field->is_repeated())
    put(*reflection.AddMessage(&message, field), path.substr(dot + 1), text);
  else
    put(*reflection.MutableMessage(&message, field), path.substr(dot + 1), text);
}

TEST(RpcRules, EveryRpcHasOneLineAndEveryLineAnRpc) {
  std::multiset<std::string_view> lines;
  for (const RpcRule& rule : rpc_rules()) lines.insert(rule.rpc);
  const auto rpcs = all_rpcs();
  ASSERT_GT(rpcs.size(), 20u);
  for (const auto* rpc : rpcs)
    EXPECT_EQ(lines.count(rpc->full_name()), 1u)
        << rpc->full_name() << " has no line in services/transport/rpc_rules.cpp";
  EXPECT_EQ(lines.size(), rpcs.size());
}

// What names an edge or a gallery is named in the line too.
TEST(RpcRules, OverlookNoEdgeAndNoGallery) {
  // The key service itself asks for the rights of edges in what they have signed; a renewal
  // is the authentication server's, of a gallery that an edge was let to before.
  const std::set<std::string> judged_by_the_service{"bauta.v1.Key.Admit", "bauta.v1.Key.Decide",
                                                    "bauta.v1.Key.RegisterContract",
                                                    "bauta.v1.Key.GetRenewalKey"};
  for (const auto* rpc : all_rpcs()) {
    if (judged_by_the_service.contains(rpc->full_name())) continue;
    const auto rule = std::ranges::find(rpc_rules(), rpc->full_name(), &RpcRule::rpc);
    ASSERT_NE(rule, rpc_rules().end()) << rpc->full_name();
    const Descriptor& request = *rpc->input_type();
    for (int i = 0; i < request.field_count(); ++i) {
      const FieldDescriptor& field = *request.field(i);
      if (field.name() == "edge_id") {
        EXPECT_EQ(rule->edge, "edge_id") << rpc->full_name();
      }
      if (field.name() == "gallery") {
        EXPECT_EQ(rule->gallery, "gallery") << rpc->full_name();
      }
      if (field.name() == "tenant") {
        EXPECT_EQ(rule->tenant, "tenant") << rpc->full_name();
      }
      if (const Descriptor* nested = field.message_type(); nested != nullptr)
        if (nested->FindFieldByName("edge_id") != nullptr) {
          EXPECT_EQ(rule->edge, field.name() + ".edge_id") << rpc->full_name();
        }
    }
  }
}

class GatekeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-gate-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    grants_ = std::make_unique<grants::TestGrants>(directory_ / "grants");
    gatekeeper_ = std::make_unique<Gatekeeper>(
        Access{&grants_->grants(),
               [](const std::string& gallery) {
                 return gallery == "unmade" ? std::nullopt : std::optional<std::string>(kTenant);
               },
               [](const std::string& key_id) {
                 return key_id == "key" ? std::optional<std::string>(kTenant) : std::nullopt;
               }});
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::unique_ptr<Message> request_of(const google::protobuf::MethodDescriptor& rpc,
                                      const std::string& edge, const std::string& gallery,
                                      const std::string& tenant = kTenant,
                                      const std::string& key_id = "key") {
    const RpcRule& rule = *std::ranges::find(rpc_rules(), rpc.full_name(), &RpcRule::rpc);
    std::unique_ptr<Message> request(google::protobuf::MessageFactory::generated_factory()
                                         ->GetPrototype(rpc.input_type())
                                         ->New());
    put(*request, rule.edge, edge);
    put(*request, rule.gallery, gallery);
    put(*request, rule.tenant, tenant);
    put(*request, rule.key_id, key_id);
    return request;
  }
  bool may(const Party& caller, const google::protobuf::MethodDescriptor& rpc,
           const Message& request) {
    const BoundRule rule = BoundRule::find(rpc.full_name(), request);
    const Status status = gatekeeper_->check(caller, rule, request);
    EXPECT_TRUE(status.ok() || status.error().code == ErrorCode::refused);
    return status.ok();
  }

  fs::path directory_;
  std::unique_ptr<grants::TestGrants> grants_;
  std::unique_ptr<Gatekeeper> gatekeeper_;
};

// What the table promises, worked out a second time.
bool expected(const RpcRule& rule, const Party& caller, uint8_t rights, const std::string& granted,
              const std::string& asked, bool revoked) {
  if ((rule.roles & static_cast<uint8_t>(caller.role)) == 0) return false;
  const bool is_edge = caller.role == Role::edge || caller.role == Role::linkage;
  if (!is_edge && rule.edge.empty()) return true;
  if (revoked) return false;
  const bool covers = granted == "*" || granted == asked;
  switch (rule.needs) {
    case Needs::role:
      return true;
    case Needs::any_grant:
      return rights != 0;
    case Needs::any_right:
      return rights != 0 && covers;
    case Needs::right:
      return (rights & static_cast<uint8_t>(rule.right)) != 0 && covers;
  }
  return false;
}

TEST_F(GatekeeperTest, EveryRpcRoleGrantAndGallery) {
  size_t allowed = 0, refused = 0;
  for (const bool revoked : {false, true}) {
    for (const std::string granted : {"own", "*"}) {
      for (uint8_t rights = 0; rights <= grants::kAllRights; ++rights) {
        grants_->update([&](grants::GrantList& list) {
          list.revoked.clear();
          (void)list.take(kEdge, {}, {});
          if (rights != 0) {
            ASSERT_TRUE(list.give({kEdge, kTenant, granted, rights, 0, list.number}).ok());
          }
          if (revoked) list.revoke(kEdge);
        });
        grants_->grants().follow();
        for (const auto* rpc : all_rpcs()) {
          const RpcRule& rule = *std::ranges::find(rpc_rules(), rpc->full_name(), &RpcRule::rpc);
          for (const Role role :
               {Role::edge, Role::auth, Role::key, Role::linkage, Role::storage, Role::worker}) {
            for (const char* asked : {"own", "foreign"}) {
              const Party caller{
                  role, role == Role::edge || role == Role::linkage ? kEdge : role_name(role)};
              const bool expects = expected(rule, caller, rights, granted, asked, revoked);
              EXPECT_EQ(may(caller, *rpc, *request_of(*rpc, kEdge, asked)), expects)
                  << rpc->full_name() << " by " << role_name(role) << " with "
                  << grants::rights_text(rights) << " on " << granted << ", asked of " << asked
                  << (revoked ? ", revoked" : "");
              (expects ? allowed : refused) += 1;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(allowed, 1000u);
  EXPECT_GT(refused, 10'000u);
}

TEST_F(GatekeeperTest, NobodyActsInTheNameOfAnother) {
  grants_->give(kEdge);
  grants_->give("gate");
  for (const auto* rpc : all_rpcs()) {
    const RpcRule& rule = *std::ranges::find(rpc_rules(), rpc->full_name(), &RpcRule::rpc);
    if (rule.edge.empty() || (rule.roles & static_cast<uint8_t>(Role::edge)) == 0) continue;
    EXPECT_TRUE(may({Role::edge, kEdge}, *rpc, *request_of(*rpc, kEdge, "own")));
    EXPECT_FALSE(may({Role::edge, "gate"}, *rpc, *request_of(*rpc, kEdge, "own")));
    EXPECT_FALSE(may({Role::edge, kEdge}, *rpc, *request_of(*rpc, "", "own")));
  }
}

TEST_F(GatekeeperTest, AnotherTenantsKeysAndGalleriesAreNotGranted) {
  grants_->give(kEdge, grants::kAllRights, "*", "other");
  for (const auto* rpc : all_rpcs()) {
    const RpcRule& rule = *std::ranges::find(rpc_rules(), rpc->full_name(), &RpcRule::rpc);
    if (rule.needs == Needs::role) continue;
    const Party caller = (rule.roles & static_cast<uint8_t>(Role::auth)) != 0
                             ? Party{Role::auth, "auth"}
                             : Party{Role::linkage, kEdge};
    EXPECT_FALSE(may(caller, *rpc, *request_of(*rpc, kEdge, "own"))) << rpc->full_name();
    EXPECT_FALSE(may(caller, *rpc, *request_of(*rpc, kEdge, "own", "", ""))) << rpc->full_name();
  }
}

TEST_F(GatekeeperTest, WhoAsksForAGalleryThatThereIsNotIsToldByName) {
  grants_->give(kEdge, grants::kAllRights, "unmade", kTenant);
  v1::GetGalleryRequest request;
  const BoundRule rule = BoundRule::find("bauta.v1.Auth.GetGallery", request);
  request.set_gallery("unmade");
  EXPECT_TRUE(gatekeeper_->check({Role::edge, kEdge}, rule, request).ok());
  EXPECT_FALSE(gatekeeper_->check({Role::edge, "gate"}, rule, request).ok());
}

TEST_F(GatekeeperTest, SeesOnlyItsOwnGalleries) {
  grants_->give(kEdge, 1, "own", kTenant);
  EXPECT_TRUE(gatekeeper_->may_see({Role::edge, kEdge}, "own", "key"));
  EXPECT_FALSE(gatekeeper_->may_see({Role::edge, kEdge}, "foreign", "key"));
  EXPECT_FALSE(gatekeeper_->may_see({Role::edge, kEdge}, "own", "another tenant's"));
}

// One image key for each of several edges, and keys of no edge beside them.
TEST_F(GatekeeperTest, EveryEdgeOfARequestNeedsAGrant) {
  grants_->give(kEdge, 1, "own", kTenant);
  v1::GetImageKeysRequest request;
  const BoundRule rule = BoundRule::find("bauta.v1.Key.GetImageKeys", request);
  request.set_key_id("key");
  request.add_keys()->set_relinearization(true);
  EXPECT_TRUE(gatekeeper_->check({Role::auth, "auth"}, rule, request).ok());
  request.add_keys()->set_edge_id(kEdge);
  EXPECT_TRUE(gatekeeper_->check({Role::auth, "auth"}, rule, request).ok());
  request.add_keys()->set_edge_id("gate");
  EXPECT_FALSE(gatekeeper_->check({Role::auth, "auth"}, rule, request).ok());
}

TEST(Roles, StandInOneUri) {
  const auto party = [](std::vector<std::string> uris) { return party_of(uris, "door"); };
  EXPECT_EQ(party({"bauta://edge/door"}).value(), (Party{Role::edge, "door"}));
  EXPECT_EQ(party({"spiffe://x/y", "bauta://worker/w-1"}).value(), (Party{Role::worker, "w-1"}));
  EXPECT_EQ(party({"bauta://auth/auth"}).value(), (Party{Role::auth, "auth"}));
  for (const char* uri : {"bauta://edge/", "bauta://edge", "bauta://boss/door", "bauta://", "door",
                          "bauta://edge/a/b", "bauta://edge/auth", "bauta://auth/door",
                          "bauta://key/auth", "bauta://Edge/door", "bauta://edge/do or"})
    EXPECT_EQ(party({uri}).error().code, ErrorCode::refused) << uri;
  EXPECT_EQ(party({}).error().code, ErrorCode::refused);
  EXPECT_EQ(party({"bauta://edge/door", "bauta://linkage/door"}).error().code, ErrorCode::refused);
  EXPECT_NE(party({}).error().message.find("bauta ca issue --name door --replace"),
            std::string::npos);
}

}  // namespace
}  // namespace bauta::transport
