// Renewal of a gallery to its tenant's next key, as it lies in the files and while it is used.
// BAUTA_RENEWAL_REFERENCES sets the size of the largest one.

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/system/parties.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;

class RenewalTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    edge_ = parties_->make_edge();
    first_key_ = parties_->tenant_key();
  }

  void renew(const std::string& key_id) {
    const auto renewed = parties_->auth->renew("gallery", key_id);
    ASSERT_TRUE(renewed.ok()) << renewed.error().message;
  }
  void destroy(const std::string& key_id) {
    ASSERT_TRUE(parties_->key->store().destroy(*key::parse_key_id(key_id)).ok());
    ASSERT_TRUE(parties_->auth->forget_key(key_id).ok());
  }
  void enroll_people(unsigned begin, unsigned end) {
    for (unsigned person = begin; person < end; ++person)
      ASSERT_TRUE(enroll(*edge_, "gallery", person).ok());
  }
  void import(unsigned begin, unsigned end) {
    const Status imported = import_people(*parties_, *edge_, "gallery", begin, end);
    ASSERT_TRUE(imported.ok()) << imported.error().message;
  }
  std::string identify(unsigned person) {
    const auto found = edge_->identify("gallery", make_embedding(person, 1));
    return found.ok() ? found->subject : found.error().message;
  }
  bool verify(unsigned person) {
    const auto verified = edge_->verify("gallery", subject_name(person), make_embedding(person, 1));
    EXPECT_TRUE(verified.ok()) << verified.error().message;
    return verified.ok() && verified->decision == v1::DECISION_ACCEPTED;
  }
  void erase(unsigned person) {
    v1::EraseRequest request;
    request.set_gallery("gallery");
    request.set_subject(subject_name(person));
    ASSERT_TRUE(parties_->auth->erase(request).ok());
  }
  v1::Gallery stats() {
    v1::GetGalleryRequest request;
    request.set_gallery("gallery");
    return *parties_->auth->get_gallery(request);
  }
  // Some of what the files hold: originals, one in a thousand of a large gallery, and segments.
  std::vector<Bytes> some_references() {
    std::vector<Bytes> references;
    auto catalogue = store::Catalogue::open(directory_ / "auth/catalogue.sqlite");
    EXPECT_TRUE(
        catalogue
            ->for_each_live(*catalogue->find_gallery("gallery"),
                            [&](const store::ReferenceView& view) {
                              if (!view.bulk && (view.position < 20 || view.position % 1000 == 0))
                                references.emplace_back(view.original.begin(), view.original.end());
                              return Status{};
                            })
            .ok());
    for (const auto& entry : fs::directory_iterator(directory_ / "auth/segments/1"))
      if (entry.path().filename() != "lock")
        references.push_back(*read_file(entry.path(), size_t{1} << 30));
    references.resize(std::min<size_t>(references.size(), 30));
    return references;
  }
  // How many of these have a piece in some file of the authentication server.
  size_t still_in_files(const std::vector<Bytes>& references) const {
    std::set<size_t> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory_ / "auth")) {
      if (!entry.is_regular_file() || entry.file_size() == 0) continue;
      const int descriptor = open(entry.path().c_str(), O_RDONLY);
      const size_t size = entry.file_size();
      void* const file = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
      close(descriptor);
      for (size_t i = 0; i < references.size(); ++i)
        for (const size_t at : {references[i].size() / 3, references[i].size() - 40})
          if (memmem(file, size, references[i].data() + at, 32) != nullptr) found.insert(i);
      munmap(file, size);
    }
    return found.size();
  }
  void restart() {
    edge_.reset();
    parties_.reset();
    parties_ = std::make_unique<Parties>(directory_);
    edge_ = parties_->make_edge();
  }

  std::unique_ptr<edge::Edge> edge_;
  std::string first_key_;
};

TEST_F(RenewalTest, ARenewedGalleryWorksWhenTheKeyBeforeIsDestroyed) {
  enroll_people(0, 12);
  import(20, 26);
  ASSERT_TRUE(parties_->auth->compact("gallery").ok());
  enroll_people(12, 15);  // the tail
  erase(3);
  erase(21);
  const std::vector<Bytes> before = some_references();
  const std::string second_key = parties_->rotate();
  EXPECT_EQ(identify(5), subject_name(5));  // still under the first key
  renew(second_key);
  EXPECT_EQ(stats().key_id(), second_key);
  EXPECT_EQ(stats().references(), 19u);
  EXPECT_EQ(still_in_files(before), 0u);
  destroy(first_key_);

  // The edge of the first key is refused; one of the second knows everybody.
  EXPECT_FALSE(edge_->identify("gallery", make_embedding(5, 1)).ok());
  edge_ = parties_->make_edge();
  const auto check = [&] {
    for (const unsigned person : {0u, 5u, 11u, 12u, 14u, 20u, 25u}) {
      EXPECT_EQ(identify(person), subject_name(person));
      EXPECT_TRUE(verify(person));
    }
    EXPECT_EQ(identify(3), "");
    EXPECT_EQ(identify(21), "");
    EXPECT_EQ(identify(99), "");
  };
  check();
  restart();
  check();
  // And is changed as any other.
  enroll_people(30, 33);
  erase(11);
  ASSERT_TRUE(parties_->auth->compact("gallery").ok());
  EXPECT_EQ(identify(11), "");
  EXPECT_EQ(identify(31), subject_name(31));
  EXPECT_EQ(identify(5), subject_name(5));
  const Status checked = store::Catalogue::open(directory_ / "auth/catalogue.sqlite")->check();
  EXPECT_TRUE(checked.ok()) << checked.error().message;
}

TEST_F(RenewalTest, FourRenewalsLaterEverybodyIsFound) {
  enroll_people(0, 6);
  import(10, 14);
  for (int i = 0; i < 4; ++i) renew(parties_->rotate());
  edge_ = parties_->make_edge();
  for (const unsigned person : {0u, 5u, 10u, 13u})
    EXPECT_EQ(identify(person), subject_name(person));
}

TEST_F(RenewalTest, TheKeyServiceGivesKeysForwardWithinATenantOnly) {
  parties_->create_gallery("other", "other-tenant");
  const std::string second_key = parties_->rotate();
  const auto ask = [&](const std::string& from, const std::string& to) {
    v1::GetRenewalKeyRequest request;
    request.set_gallery("gallery");
    request.set_from_key_id(from);
    request.set_to_key_id(to);
    request.set_dimension(kTestDimension);
    const auto key = parties_->key->get_renewal_key(request);
    return key.ok() ? ErrorCode{} : key.error().code;
  };
  const std::string other_key = parties_->tenant_key("other-tenant");
  EXPECT_EQ(ask(first_key_, second_key), ErrorCode{});
  EXPECT_EQ(ask(second_key, first_key_), ErrorCode::refused);
  EXPECT_EQ(ask(first_key_, first_key_), ErrorCode::refused);
  EXPECT_EQ(ask(first_key_, other_key), ErrorCode::refused);
  EXPECT_EQ(ask(first_key_, parties_->rotate("tenant", /*evaluation=*/true)), ErrorCode::refused);
  ASSERT_TRUE(parties_->key->store().suspend(*key::parse_key_id(first_key_)).ok());
  EXPECT_EQ(ask(first_key_, second_key), ErrorCode::refused);
  destroy(first_key_);
  EXPECT_EQ(ask(first_key_, second_key), ErrorCode::refused);
  EXPECT_EQ(ask(std::string(32, 'a'), second_key), ErrorCode::not_found);
}

TEST_F(RenewalTest, ADamagedImportedBlockStopsItAndIsNamed) {
  enroll_people(0, 3);
  import(10, 14);
  for (const auto& entry : fs::directory_iterator(directory_ / "auth/segments/1"))
    if (entry.path().extension() == ".segment") fs::resize_file(entry.path(), 5000);
  const auto renewed = parties_->auth->renew("gallery", parties_->rotate());
  ASSERT_FALSE(renewed.ok());
  EXPECT_EQ(renewed.error().code, ErrorCode::corrupt);
  EXPECT_NE(renewed.error().message.find("gallery repair"), std::string::npos);
  EXPECT_EQ(stats().key_id(), first_key_);
  EXPECT_EQ(identify(1), subject_name(1));
}

// Searches and enrolments on a thread of their own while the gallery changes its key, some times
// over: each is answered under the one key or the other, and nothing acknowledged is lost.
TEST_F(RenewalTest, SearchesAndEnrolmentsGoOn) {
  const char* variable = std::getenv("BAUTA_RENEWAL_REFERENCES");
  const auto size = static_cast<unsigned>(variable != nullptr ? std::atoi(variable) : 600);
  constexpr unsigned kPhotos = 200;  // a subject's, so that a large gallery is quickly there
  const auto filling = std::chrono::steady_clock::now();
  for (unsigned crowd = 0; crowd * kPhotos < size; ++crowd) {
    std::vector<face::Embedding> embeddings;
    for (unsigned photo = 0; photo < kPhotos; ++photo)
      embeddings.push_back(make_embedding(1'000'000 + crowd, photo));
    ASSERT_TRUE(edge_->enroll("gallery", subject_name(1'000'000 + crowd), embeddings).ok());
  }
  enroll_people(0, 1);
  ASSERT_TRUE(parties_->auth->compact("gallery").ok());
  const auto seconds_since = [](auto start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  fmt::print("{} references enrolled and compacted in {:.1f} s\n", size, seconds_since(filling));
  const std::vector<Bytes> some = some_references();
  EXPECT_EQ(still_in_files(some), some.size());

  std::atomic<bool> done = false;
  std::atomic<unsigned> searches = 0;
  unsigned asked_again = 0, last = 0;
  double longest = 0;
  std::thread client([&, edge = parties_->make_edge(), key = first_key_]() mutable {
    // As an edge does: on an error it looks whether the gallery has another key by now.
    const auto again = [&] {
      const std::string now = stats().key_id();
      if (now == key) return false;
      key = now;
      edge = parties_->make_edge_of_gallery("gallery");
      ++asked_again;
      return true;
    };
    while (!done) {
      const auto start = std::chrono::steady_clock::now();
      auto found = edge->identify("gallery", make_embedding(last, 1));
      if (!found.ok() && again()) found = edge->identify("gallery", make_embedding(last, 1));
      longest = std::max(longest, seconds_since(start));
      ASSERT_TRUE(found.ok()) << found.error().message;
      EXPECT_EQ(found->subject, subject_name(last));
      auto enrolled = enroll(*edge, "gallery", last + 1);
      if (!enrolled.ok() && again()) enrolled = enroll(*edge, "gallery", last + 1);
      ASSERT_TRUE(enrolled.ok()) << enrolled.error().message;
      ++last;
      ++searches;
    }
  });
  std::string key;
  for (int renewal = 0; renewal < (size <= 1000 ? 3 : 1); ++renewal) {
    key = parties_->rotate();
    const unsigned before = searches;
    const auto start = std::chrono::steady_clock::now();
    const auto counts = parties_->auth->renew("gallery", key);
    const double seconds = seconds_since(start);
    EXPECT_TRUE(counts.ok()) << counts.error().message;
    if (!counts.ok()) break;
    fmt::print(
        "{} references in {} blocks renewed in {:.1f} s, {:.0f} a second; {} searches meanwhile\n",
        counts->originals, counts->segments, seconds,
        static_cast<double>(counts->originals) / seconds, searches - before);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  done = true;
  client.join();
  fmt::print("the longest search took {:.0f} ms; asked again under a new key: {}\n", longest * 1000,
             asked_again);
  EXPECT_GT(searches, 0u);
  EXPECT_EQ(stats().key_id(), key);
  EXPECT_EQ(still_in_files(some), 0u);
  destroy(first_key_);
  edge_ = parties_->make_edge();
  for (unsigned person = 0; person <= last; ++person)
    EXPECT_EQ(identify(person), subject_name(person));
}

}  // namespace
}  // namespace bauta
