// kill -9 in the middle of enrolments: what was acknowledged is there afterwards, and matches.

#include <algorithm>
#include <csignal>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/parties.h"

namespace bauta {
namespace {

constexpr unsigned kEnrolments = 200;

class CrashTest : public SystemTest {
 protected:
  // Enrols in a process of its own, from `first` on, and reports each acknowledged person through
  // the pipe.
  [[noreturn]] void enroll_in_child(unsigned first, int report) {
    Parties parties(directory_);
    const auto edge = parties.make_edge();
    for (unsigned person = first; person < kEnrolments; ++person) {
      // One that was durable before the last kill, but not yet acknowledged, is acknowledged now.
      const auto enrolled = enroll(*edge, "gallery", person);
      if (!enrolled.ok() && enrolled.error().code != ErrorCode::already_exists) _exit(1);
      if (write(report, &person, sizeof person) != sizeof person) _exit(1);
    }
    _exit(0);
  }

  // Runs such a process, kills it after the time given unless it ends before, and returns who was
  // acknowledged.
  std::vector<unsigned> enroll_until_killed(unsigned first, std::chrono::milliseconds lifetime) {
    int ends[2] = {};
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      enroll_in_child(first, ends[1]);
    }
    close(ends[1]);
    std::thread killer([&] {
      std::this_thread::sleep_for(lifetime);
      kill(child, SIGKILL);
    });
    std::vector<unsigned> acknowledged;
    for (unsigned person = 0; read(ends[0], &person, sizeof person) == sizeof person;)
      acknowledged.push_back(person);
    killer.join();
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "the child met an error";
    close(ends[0]);
    return acknowledged;
  }
};

TEST_F(CrashTest, EveryAcknowledgedEnrolmentSurvives) {
  parties_->make_edge();  // admits the edge
  parties_.reset();       // a token is not shared over fork()
  std::mt19937 random(7);
  std::vector<unsigned> acknowledged;
  unsigned next = 0, kills = 0;
  while (next < kEnrolments) {
    ASSERT_LT(++kills, 500u) << "no progress";
    const auto lifetime = std::chrono::milliseconds(100 + random() % 400);
    for (unsigned person : enroll_until_killed(next, lifetime)) acknowledged.push_back(person);
    if (!acknowledged.empty()) next = acknowledged.back() + 1;
  }
  parties_ = std::make_unique<Parties>(directory_);
  const auto edge = parties_->make_edge();
  std::printf("%zu enrolments acknowledged over %u kills\n", acknowledged.size(), kills);
  for (unsigned person : acknowledged) {
    const auto found = edge->identify("gallery", make_embedding(person, 1));
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(found->subject, subject_name(person));
    EXPECT_EQ(edge->verify("gallery", subject_name(person), make_embedding(person, 1))->decision,
              v1::DECISION_ACCEPTED);
  }
}

}  // namespace
}  // namespace bauta
