// kill -9 at random moments while people are enrolled, singly and in blocks, erased, and the
// gallery is compacted, rewritten and renewed to further keys: what was acknowledged is there
// afterwards, who was erased is not, and the gallery opens. The environment variable
// BAUTA_CRASH_ROUNDS sets the number of kills (tests/system/crash_rounds).

#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/parties.h"

namespace bauta {
namespace {

constexpr unsigned kBlockPeople = 6;

// What the child says through its pipe: that something is going to happen, or has been
// acknowledged.
struct Saying {
  enum What : uint32_t { enrolled, block_enrolled, erasing, erased } what;
  uint32_t person;
};

class CrashRounds : public SystemTest {
 protected:
  static int rounds() {
    const char* variable = std::getenv("BAUTA_CRASH_ROUNDS");
    return variable != nullptr ? std::atoi(variable) : 10;
  }

  static Status erase(auth::AuthServer& auth, unsigned person) {
    v1::EraseRequest request;
    request.set_gallery("gallery");
    request.set_subject(subject_name(person));
    BAUTA_CHECK(auth.erase(request));
    return {};
  }

  // Changes the gallery until it is killed; people from `first` on are new.
  [[noreturn]] void change_until_killed(unsigned first, unsigned seed, int report) {
    Parties parties(directory_);
    auto edge = parties.make_edge_of_gallery("gallery");
    std::mt19937 random(seed);
    std::vector<unsigned> present;
    const auto say = [&](Saying::What what, unsigned person) {
      const Saying saying{what, person};
      if (write(report, &saying, sizeof saying) != sizeof saying) _exit(2);
    };
    const auto must = [](const auto& result) {
      if (result.ok()) return;
      fmt::print(stderr, "{}\n", result.error().message);
      _exit(1);
    };
    // Goes on with what the process before was killed in, or leaves it for the next one.
    const auto renew = [&](const std::string& key_id) {
      must(parties.auth->renew("gallery", key_id));
      edge = parties.make_edge_of_gallery("gallery");
    };
    if (seed % 2 == 0) renew(parties.tenant_key());
    for (unsigned person = first;;) {
      const unsigned choice = random() % 16;
      if (choice == 0) {
        must(import_people(parties, *edge, "gallery", person, person + kBlockPeople));
        say(Saying::block_enrolled, person);
        for (unsigned i = 0; i < kBlockPeople; ++i) present.push_back(person++);
      } else if (choice == 1) {
        renew(parties.rotate());
      } else if (choice == 2) {
        must(parties.auth->compact("gallery"));
      } else if (choice == 3) {
        must(rewrite(parties, "gallery"));
      } else if (choice < 8 && !present.empty()) {
        const size_t at = random() % present.size();
        const unsigned leaving = present[at];
        present.erase(present.begin() + static_cast<long>(at));
        say(Saying::erasing, leaving);
        must(erase(*parties.auth, leaving));
        say(Saying::erased, leaving);
      } else {
        must(enroll(*edge, "gallery", person));
        say(Saying::enrolled, person);
        present.push_back(person++);
      }
    }
  }

  // Runs such a process for some time and takes down what it said.
  void run_and_kill(unsigned seed, std::chrono::milliseconds lifetime) {
    int ends[2] = {};
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      change_until_killed(next_, seed, ends[1]);
    }
    close(ends[1]);
    std::thread killer([&] {
      std::this_thread::sleep_for(lifetime);
      kill(child, SIGKILL);
    });
    recent_.clear();
    for (Saying saying{}; read(ends[0], &saying, sizeof saying) == sizeof saying;) take(saying);
    killer.join();
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child met an error";
    close(ends[0]);
    next_ += 2 * kBlockPeople;  // past those whose enrolment was cut off
  }

  void take(const Saying& saying) {
    const unsigned people = saying.what == Saying::block_enrolled ? kBlockPeople : 1;
    for (unsigned person = saying.person; person < saying.person + people; ++person) {
      if (saying.what == Saying::enrolled || saying.what == Saying::block_enrolled) {
        present_.insert(person);
        next_ = std::max(next_, person + 1);
      }
      if (saying.what == Saying::erasing) present_.erase(person);
      if (saying.what == Saying::erased) erased_.insert(person);
      recent_.insert(person);
    }
  }

  void check(edge::Edge& edge, unsigned person) {
    const auto found = edge.identify("gallery", make_embedding(person, 1));
    ASSERT_TRUE(found.ok()) << found.error().message;
    if (present_.contains(person)) {
      EXPECT_EQ(found->subject, subject_name(person)) << "an acknowledged enrolment is lost";
      const auto verified = edge.verify("gallery", subject_name(person), make_embedding(person, 1));
      ASSERT_TRUE(verified.ok()) << verified.error().message;
      EXPECT_EQ(verified->decision, v1::DECISION_ACCEPTED);
    }
    if (erased_.contains(person)) {
      EXPECT_EQ(found->subject, "") << "an erased person has returned";
    }
  }

  std::set<unsigned> present_, erased_;  // as acknowledged
  std::set<unsigned> recent_;            // whom the last child changed
  unsigned next_ = 0;
};

TEST_F(CrashRounds, NothingAcknowledgedIsLostAndNothingErasedReturns) {
  parties_->make_edge();  // admits the edge
  parties_.reset();       // a token is not shared over fork()
  std::mt19937 random(7);
  for (int round = 0; round < rounds() && !HasFatalFailure(); ++round) {
    run_and_kill(static_cast<unsigned>(random()), std::chrono::milliseconds(100 + random() % 900));
    Parties parties(directory_);
    const auto edge = parties.make_edge_of_gallery("gallery");
    for (const unsigned person : recent_) check(*edge, person);
    // And some of those before.
    for (int i = 0; i < 5 && next_ > 0; ++i) check(*edge, static_cast<unsigned>(random() % next_));
  }
  Parties parties(directory_);
  // Whatever was interrupted, another attempt brings it to its end.
  const auto renewed = parties.auth->renew("gallery", parties.tenant_key());
  ASSERT_TRUE(renewed.ok()) << renewed.error().message;
  ASSERT_TRUE(rewrite(parties, "gallery").ok());
  const auto edge = parties.make_edge_of_gallery("gallery");
  for (unsigned person = 0; person < next_; ++person) check(*edge, person);
  auto catalogue = store::Catalogue::open(directory_ / "auth/catalogue.sqlite");
  const Status checked = catalogue->check();
  EXPECT_TRUE(checked.ok()) << checked.error().message;
  fmt::print("{} kills: {} people enrolled, {} erased\n", rounds(), present_.size(),
             erased_.size());
}

}  // namespace
}  // namespace bauta
