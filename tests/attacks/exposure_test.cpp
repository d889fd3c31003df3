// What the key service leaves in its memory, seen from outside: in a core dump and in
// /proc/PID/mem after a decision, and in the latter while a request is at work.

#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <unordered_set>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/process_memory.h"
#include "match/admission.h"
#include "tests/attacks/malicious_edge.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWindow_bytes = 32;

// Finds any window of a secret, at any offset: of 32 bytes, or of the whole where it is shorter.
class Needles {
 public:
  explicit Needles() : marks_(size_t{1} << 24) {}

  void add(ByteView secret, size_t window_bytes = kWindow_bytes) {
    for (size_t i = 0; i + window_bytes <= secret.size(); ++i) {
      const ByteView window = secret.subspan(i, window_bytes);
      // Of windows that begin with the same few values memory is full.
      const ByteView begin = window.first(sizeof(uint64_t));
      if (std::unordered_set<uint8_t>(begin.begin(), begin.end()).size() < 3) continue;
      marks_[mark(window.data())] = true;
      windows_[window_bytes].emplace(as_text(window));
    }
  }
  // How often one of them stands in the memory.
  int count_in(std::string_view memory) const {
    int found = 0;
    for (size_t i = 0; i + sizeof(uint64_t) <= memory.size(); ++i) {
      if (!marks_[mark(reinterpret_cast<const uint8_t*>(memory.data()) + i)]) continue;
      for (const auto& [size, windows] : windows_)
        if (i + size <= memory.size() && windows.contains(std::string(memory.substr(i, size))))
          ++found;
    }
    return found;
  }

 private:
  static size_t mark(const uint8_t* bytes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return word * 0x9e3779b97f4a7c15u >> 40;
  }
  std::vector<bool> marks_;
  std::map<size_t, std::unordered_set<std::string>> windows_;
};

Findings search_memory(pid_t process, const Needles& needles) {
  return bauta::search_memory(process,
                              [&](std::string_view memory) { return needles.count_in(memory); });
}

class ExposureTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's shadow memory is too large to search";
#endif
    std::string pattern = testing::TempDir() + "bauta-exposure-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    fs::remove_all(directory_);
  }

  // A process of its own that makes the parties, decides once and says so, and then admits
  // references without end. Forked before there is any secret, so that it has them from the token
  // alone.
  void start_service() {
    ASSERT_EQ(pipe(decided_), 0);
    ASSERT_EQ(pipe(go_on_), 0);
    child_ = fork();
    if (child_ != 0) {
      close(decided_[1]);
      return;
    }
    close(go_on_[1]);  // else it would outlive a test that was killed
    if (chdir(directory_.c_str()) != 0) _exit(8);
    // It is to go on decrypting what is no template.
    fs::create_directory("key");
    std::ofstream("key/policy.json") << R"({"crafted_requests": 1000000})";
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &unlimited);
    Parties parties(directory_);
    if (!parties.token_status.ok()) _exit(77);
    parties.create_gallery("gallery");
    auto edge = parties.make_edge();
    if (!enroll(*edge, "gallery", 1).ok()) _exit(2);
    for (int i = 0; i < 5; ++i)
      if (!edge->identify("gallery", make_embedding(1, 1)).ok()) _exit(3);
    const WillingSigner signer(parties, "edge-1");
    v1::AdmitRequest request = admit_request(parties);
    const auto admit = [&] {
      TicketScope scope = signer.scope(TicketKind::enrolment);
      scope.count = static_cast<uint32_t>(request.admissions_size());
      *request.mutable_origin() = signer.origin(scope);
      return parties.key->admit(request).ok();
    };
    if (!admit()) _exit(4);
    char token = 'd';
    if (write(decided_[1], &token, 1) != 1 || read(go_on_[0], &token, 1) != 1) _exit(9);
    while (admit()) {
    }
    _exit(5);
  }

  // As many references as fit, so that most of the time a secret is alive.
  static v1::AdmitRequest admit_request(Parties& parties) {
    const match::Parameters parameters = *match::Parameters::create(kTestDimension);
    v1::AdmitRequest request;
    request.set_key_id(parties.tenant_key());
    request.set_dimension(kTestDimension);
    // Garbage under the right key: refused after it has been decrypted.
    const auto id = *key::parse_key_id(parties.tenant_key());
    ckks::KeyId ring_key;
    {
      const SecretBytes seed = *parties.key->store().derive(id, key::kTenantPurpose);
      ring_key = secret::SecretKey::expand(parameters.ring(), seed, key::kTenantPurpose)->id();
    }
    const auto random = [&](size_t limbs) {
      const ring::Basis basis = parameters.ring().ciphertext_moduli().prefix(limbs);
      return ring::sample_uniform<ring::Form::coefficient>(ring::fresh_public_seed(), "test", 0,
                                                           basis);
    };
    const auto ciphertext = [&](size_t limbs) {
      return ckks::CoefficientCiphertext{random(limbs), random(limbs), parameters.reference_scale(),
                                         ring_key};
    };
    match::Admission admission{match::TemplateKind::reference, ciphertext(2), {}, ciphertext(1)};
    for (size_t i = 0; i < match::projection_ciphertexts(parameters); ++i)
      admission.projections.push_back(ciphertext(1));
    for (int i = 0; i < 64; ++i)
      request.add_admissions(
          std::string(as_text(match::serialize_admission(parameters, admission))));
    return request;
  }

  // The tenant's seed, its secret key, and that at every modulus, as coefficients and as values.
  void learn_secrets() {
    auto token = keys::Token::open(keys::embedded_token_config(directory_ / "token"));
    ASSERT_TRUE(token.ok()) << token.error().message;
    auto store = keys::KeyStore::open(std::move(*token), directory_ / "key").value();
    const auto id = store->active("tenant")->id;
    const SecretBytes seed = *store->derive(id, key::kTenantPurpose);
    const match::Parameters parameters = *match::Parameters::create(kTestDimension);
    const auto key = secret::SecretKey::expand(parameters.ring(), seed, key::kTenantPurpose);
    const ring::SmallSecret& coefficients = key->coefficients();
    needles_.add(seed.span(), 16);
    needles_.add({reinterpret_cast<const uint8_t*>(coefficients.data()), coefficients.size()});
    const auto values = ring::evaluate(coefficients, parameters.ring().ciphertext_moduli());
    for (size_t i = 0; i < values->limb_count(); ++i)
      needles_.add(
          {reinterpret_cast<const uint8_t*>(values->limb(i).data()), values->limb(i).size_bytes()});
  }

  void wait_for_decision() {
    char token = 0;
    if (read(decided_[0], &token, 1) == 1) return;
    int status = 0;
    waitpid(std::exchange(child_, 0), &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "SoftHSM2 is not installed";
    FAIL() << "the service ended with " << status;
  }

  fs::path directory_;
  pid_t child_ = 0;
  int decided_[2], go_on_[2];
  Needles needles_;
};

TEST_F(ExposureTest, NothingIsLeftAfterADecisionAndLockedPagesAloneHoldSecretsDuringOne) {
  start_service();
  wait_for_decision();
  if (IsSkipped() || HasFatalFailure()) return;
  learn_secrets();

  const Findings after = search_memory(child_, needles_);
  EXPECT_GT(after.scanned_bytes, size_t{1} << 20);
  EXPECT_EQ(after.in_locked_pages + after.elsewhere, 0);

  const char token = 'g';
  ASSERT_EQ(write(go_on_[1], &token, 1), 1);
  int seen = 0;
  for (int look = 0; look < 12; ++look) {
    usleep(20'000 + 7'000 * static_cast<useconds_t>(look));
    kill(child_, SIGSTOP);
    const Findings during = search_memory(child_, needles_);
    EXPECT_EQ(during.elsewhere, 0) << "in look " << look;
    seen += during.in_locked_pages > 0 ? 1 : 0;
    kill(child_, SIGCONT);
  }
  EXPECT_GT(seen, 0) << "the search itself does not work";
}

// As it would be without harden_process(), which allows none.
TEST_F(ExposureTest, ACoreDumpAfterADecisionHoldsNothing) {
  std::string pattern;
  std::ifstream("/proc/sys/kernel/core_pattern") >> pattern;
  if (pattern.empty() || pattern[0] == '|' || pattern[0] == '/')
    GTEST_SKIP() << "core dumps of this system go to " << pattern << ", not to a file of the test";
  start_service();
  wait_for_decision();
  if (IsSkipped() || HasFatalFailure()) return;
  learn_secrets();
  kill(child_, SIGABRT);
  int status = 0;
  waitpid(std::exchange(child_, 0), &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  if (!WCOREDUMP(status)) GTEST_SKIP() << "this system writes no core dumps";
  size_t dumped = 0;
  for (const auto& file : fs::directory_iterator(directory_)) {
    if (file.path().filename().string().rfind("core", 0) != 0) continue;
    std::ifstream core(file.path(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(core)), {});
    dumped += content.size();
    EXPECT_EQ(needles_.count_in(content), 0);
  }
  EXPECT_GT(dumped, size_t{1} << 20);
}

}  // namespace
}  // namespace bauta
