// Nothing is decrypted that is not charged for: every rpc of the key service has its line in the
// table of charges, and what decrypts is called after the charge, in the sources as they stand.

#include "services/key/charges.h"

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "bauta/v1/key.pb.h"
#include "bauta/v1/platform.pb.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

// Whoever adds a service to the key service's file has it found here.
std::multiset<std::string> rpcs_of_the_key_service() {
  std::multiset<std::string> names;
  const auto add = [&](const google::protobuf::ServiceDescriptor& service) {
    for (int i = 0; i < service.method_count(); ++i)
      names.insert(std::string(service.name()) + "." + std::string(service.method(i)->name()));
  };
  const google::protobuf::FileDescriptor& key = *v1::DecideRequest::descriptor()->file();
  for (int i = 0; i < key.service_count(); ++i) add(*key.service(i));
  add(*v1::ListKeysRequest::descriptor()->file()->FindServiceByName("Oversight"));
  return names;
}

TEST(Charges, EachRpcHasOneLineAndEachLineIsAnRpc) {
  std::multiset<std::string> lines;
  for (const ChargeLine& line : kCharges) lines.insert(std::string(line.rpc));
  EXPECT_EQ(lines, rpcs_of_the_key_service());
  EXPECT_GE(lines.size(), 12u);
}

// A request that costs something carries what proves who pays; the others carry no ciphertexts.
TEST(Charges, WhatCostsCarriesATicketAndTheRestCarriesNoCiphertexts) {
  const google::protobuf::FileDescriptor& file = *v1::DecideRequest::descriptor()->file();
  const std::set<std::string> ciphertexts = {"scores", "admission", "admissions", "probe",
                                             "image",  "images",    "references", "ciphertext"};
  for (const ChargeLine& line : kCharges) {
    const std::string rpc(line.rpc);
    const size_t dot = rpc.find('.');
    const auto* service = file.FindServiceByName(rpc.substr(0, dot));
    if (service == nullptr) continue;  // of another file: what operators may see
    const auto* method = service->FindMethodByName(rpc.substr(dot + 1));
    ASSERT_NE(method, nullptr) << rpc;
    const google::protobuf::Descriptor& request = *method->input_type();
    if (line.cost != Cost::nothing) {
      const auto* origin = request.FindFieldByName("origin");
      ASSERT_NE(origin, nullptr) << rpc;
      EXPECT_NE(origin->message_type()->FindFieldByName("ticket"), nullptr) << rpc;
      continue;
    }
    for (int i = 0; i < request.field_count(); ++i)
      EXPECT_FALSE(ciphertexts.contains(std::string(request.field(i)->name()))) << rpc;
  }
}

// --- The sources

// The code of the key service's files, without comments and what stands between quotes.
std::map<std::string, std::string> sources() {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(fs::path(BAUTA_SOURCE_DIR) / "services/key")) {
    const std::string name = entry.path().filename().string();
    const bool code = name.ends_with(".cpp") || name.ends_with(".h");
    if (!code || name.find("_test.") != std::string::npos) continue;
    const Bytes bytes = read_file(entry.path(), size_t{1} << 20).value();
    const std::regex comment("//[^\n]*"), quoted("\"([^\"\\\\\n]|\\\\.)*\"");
    files[name] = std::regex_replace(std::regex_replace(std::string(as_text(bytes)), comment, ""),
                                     quoted, "\"\"");
  }
  return files;
}

// The functions, by the style of this code: what begins in the first column (of a class in a source
// file: the third) and ends with a brace there.
struct Function {
  std::string file, name, body;
};
std::vector<Function> functions() {
  std::vector<Function> found;
  for (const auto& [file, text] : sources()) {
    for (const std::string indent : {"", "  "}) {
      const std::regex head("(^|\n)" + indent + "([A-Za-z][^;{}#\n]*[^;{}]*?)\\{[^\n]*\n");
      auto begin = std::sregex_iterator(text.begin(), text.end(), head);
      for (auto match = begin; match != std::sregex_iterator(); ++match) {
        const std::string signature = (*match)[2];
        std::smatch name;
        if (!std::regex_search(signature, name, std::regex("([A-Za-z_:~]+)\\("))) continue;
        if (std::string(name[1]).starts_with("BAUTA_")) continue;  // a call with braces
        const size_t start = static_cast<size_t>(match->position(0) + match->length(0));
        const size_t end = text.find("\n" + indent + "}", start - 1);
        found.push_back({file, name[1], text.substr(start, end - start)});
      }
    }
  }
  return found;
}

// Of all functions of the key service, who calls this.
std::set<std::string> callers_of(const std::string& pattern) {
  std::set<std::string> callers;
  for (const Function& function : functions())
    if (std::regex_search(function.body, std::regex(pattern)))
      callers.insert(function.file + " " + function.name);
  return callers;
}

size_t count(const std::string& pattern) {
  size_t found = 0;
  const std::regex regex(pattern);
  for (const auto& [file, text] : sources())
    found += static_cast<size_t>(
        std::distance(std::sregex_iterator(text.begin(), text.end(), regex), {}));
  return found;
}

void expect_order(const std::string& name, const std::string& first, const std::string& second) {
  bool seen = false;
  for (const Function& function : functions()) {
    if (function.name != name) continue;
    seen = true;
    const size_t charge = function.body.find(first), use = function.body.find(second);
    ASSERT_NE(charge, std::string::npos) << name << " does not call " << first;
    ASSERT_NE(use, std::string::npos) << name << " does not call " << second;
    EXPECT_LT(charge, use) << name;
  }
  EXPECT_TRUE(seen) << name;
}

using Names = std::set<std::string>;

TEST(Charges, WhatDecryptsIsCalledAfterTheChargeOnly) {
  EXPECT_EQ(callers_of(R"(secret::decrypt\()"),
            (Names{"key_server.cpp check", "key_server.cpp KeyServer::read_scores",
                   "rewriting.cpp decrypt"}));
  EXPECT_EQ(count(R"(secret::decrypt\()"), 5u) << "three of a template, a score, a block";
  EXPECT_EQ(count(R"(using [a-z:]*secret)"), 0u) << "under no other name";
  EXPECT_EQ(callers_of(R"([^_a-z.>]check\()"),
            (Names{"key_server.cpp KeyServer::admit", "key_server.cpp KeyServer::read_scores"}));
  EXPECT_EQ(callers_of(R"(read_scores\()"), (Names{"key_server.cpp KeyServer::decide"}));
  expect_order("KeyServer::admit", "ledger_->charge(", " check(");
  expect_order("KeyServer::admit", "ledger_->charge(", "derive_tenant_key(");
  expect_order("KeyServer::decide", "ledger_->charge(", "read_scores(");
  // The table says so too.
  Names costly;
  for (const ChargeLine& line : kCharges)
    if (line.cost != Cost::nothing) costly.insert(std::string(line.rpc));
  EXPECT_EQ(costly, (Names{"Key.Admit", "Key.Decide"}));
}

// No request of a service: what rewrites blocks is on record, synced, before.
TEST(Charges, RewritingIsOnRecordBeforeItDecrypts) {
  expect_order("KeyServer::rewrite_block", "ledger_->rewritten(", "derive_tenant_key(");
  expect_order("KeyServer::rewrite_block", "ledger_->rewritten(", "rewriter.rewrite(");
}

// And every answer is on record before it leaves.
TEST(Charges, AnswersAreConcludedBeforeTheyLeave) {
  expect_order("KeyServer::admit", "ledger_->conclude(", "asked.answer(");
  expect_order("KeyServer::decide", "ledger_->conclude(", "asked.answer(");
}

}  // namespace
}  // namespace bauta::key
