// What a process that derives secrets leaves in its memory, seen from outside.

#include <fstream>
#include <map>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "keys/process_memory.h"
#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

constexpr std::string_view kPurpose = "a purpose";

// A process of its own that takes one step whenever it is told to.
class Subject {
 public:
  template <typename Steps>
  explicit Subject(Steps steps) {
    BAUTA_ASSERT(pipe(to_subject_) == 0 && pipe(from_subject_) == 0);
    process_ = fork();
    if (process_ != 0) {
      close(from_subject_[1]);
      return;
    }
    close(to_subject_[1]);  // else it would outlive a test that was killed
    steps([this] {
      char token = 's';
      if (write(from_subject_[1], &token, 1) != 1 || read(to_subject_[0], &token, 1) != 1) _exit(9);
    });
    _exit(0);
  }
  ~Subject() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  // False when it has ended instead.
  bool reached_step() {
    char token = 0;
    return read(from_subject_[0], &token, 1) == 1;
  }
  void go_on() {
    const char token = 'g';
    BAUTA_ASSERT(write(to_subject_[1], &token, 1) == 1);
  }
  pid_t process() const { return process_; }

 private:
  int to_subject_[2], from_subject_[2];
  pid_t process_ = 0;
};

// Looks in all memory of a process for any 8 bytes in a row of the secret.
Findings search_memory(pid_t process, const SecretBytes& secret) {
  constexpr size_t kWindow_bytes = 8;
  return bauta::search_memory(process, [&](std::string_view memory) {
    int found = 0;
    for (size_t i = 0; i + kWindow_bytes <= secret.size(); ++i)
      found += memory.find(as_text(secret.span().subspan(i, kWindow_bytes))) != memory.npos;
    return found;
  });
}

class MemoryTest : public SoftHsmTest {};

TEST_F(MemoryTest, SecretIsInLockedPagesWhileItLivesAndNowhereAfterwards) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow memory is too large to search";
#endif
  const KeyId id{1, 2, 3};
  // Forked before the secrets exist, so that it has them from the token alone.
  Subject subject([&](auto step) {
    step();
    auto token = Token::open(embedded_token_config(token_directory()));
    if (!token.ok()) _exit(1);
    for (int i = 0; i < 50; ++i)
      if (!(*token)->derive(id, kPurpose).ok()) _exit(2);
    {
      auto secret = (*token)->derive(id, kPurpose);
      if (!secret.ok()) _exit(3);
      step();
    }
    step();
    token->reset();
    step();
  });
  ASSERT_TRUE(subject.reached_step());
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  SecretBytes key = SecretBytes::create(32).value();
  random_bytes(key.span());
  RawSession(token_directory()).import_key(id, key.span());
  SecretBytes secret = SecretBytes::create(32).value();
  const std::string input =
      std::string("\x09\0\0\0", 4) + std::string(kPurpose) + std::string(4, '\0');
  unsigned size_bytes = 0;
  HMAC(EVP_sha256(), key.data(), 32, as_bytes(input).data(), input.size(), secret.data(),
       &size_bytes);

  subject.go_on();
  ASSERT_TRUE(subject.reached_step());
  const Findings alive = search_memory(subject.process(), secret);
  EXPECT_GT(alive.scanned_bytes, 1u << 20);
  EXPECT_GT(alive.in_locked_pages, 0) << "the search itself does not work";
  EXPECT_EQ(alive.elsewhere, 0);

  subject.go_on();
  ASSERT_TRUE(subject.reached_step());
  const Findings wiped = search_memory(subject.process(), secret);
  EXPECT_EQ(wiped.in_locked_pages + wiped.elsewhere, 0);
  const Findings key_open = search_memory(subject.process(), key);
  EXPECT_EQ(key_open.in_locked_pages + key_open.elsewhere, 0) << "the token's own key";

  // The PIN is kept, to log in again.
  const SecretBytes pin = embedded_token_config(token_directory()).pin.read().value();
  const Findings pin_open = search_memory(subject.process(), pin);
  EXPECT_GT(pin_open.in_locked_pages, 0);
  EXPECT_EQ(pin_open.elsewhere, 0) << "the PIN";

  subject.go_on();
  ASSERT_TRUE(subject.reached_step());
  const Findings pin_closed = search_memory(subject.process(), pin);
  EXPECT_EQ(pin_closed.in_locked_pages + pin_closed.elsewhere, 0) << "the PIN";
  const Findings key_closed = search_memory(subject.process(), key);
  EXPECT_EQ(key_closed.in_locked_pages + key_closed.elsewhere, 0) << "the token's own key";
}

}  // namespace
}  // namespace bauta::keys
