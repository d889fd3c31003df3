#include "services/linkage/registry.h"

#include <gtest/gtest.h>

namespace bauta::linkage {
namespace {

namespace fs = std::filesystem;

const Digest kInvitation{1}, kSession{2};

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    std::string pattern = (fs::temp_directory_path() / "bauta-registry-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    registry_ = Registry::open(directory_ / "registry.sqlite").value();
  }
  ~RegistryTest() override { fs::remove_all(directory_); }

  void register_person() {
    ASSERT_TRUE(registry_->add_invitation(kInvitation, 1000).ok());
    ASSERT_TRUE(registry_->begin_registration(kInvitation, "p", kSession, 500).ok());
    ASSERT_TRUE(registry_->finish_registration("p").ok());
  }
  static Link link(std::string subject = "s", std::string purpose = "door") {
    return {"p", "e", std::move(purpose), std::move(subject), LinkState::enrolling, false, "", 0};
  }

  fs::path directory_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(RegistryTest, AnInvitationIsGoodOnceAndInTime) {
  ASSERT_TRUE(registry_->add_invitation(kInvitation, 1000).ok());
  EXPECT_TRUE(registry_->is_open(kInvitation, 999).value());
  EXPECT_FALSE(registry_->is_open(kInvitation, 1000).value());
  EXPECT_FALSE(registry_->is_open(kSession, 999).value());
  EXPECT_EQ(registry_->begin_registration(kInvitation, "p", kSession, 1000).error().code,
            ErrorCode::refused);
  EXPECT_TRUE(registry_->begin_registration(kInvitation, "p", kSession, 999).ok());
  EXPECT_EQ(registry_->begin_registration(kInvitation, "q", Digest{3}, 999).error().code,
            ErrorCode::refused);
  EXPECT_EQ(registry_->persons(PersonState::registering)->size(), 1u);
}

TEST_F(RegistryTest, APersonHasOneLinkForEachPurpose) {
  register_person();
  ASSERT_TRUE(registry_->add_link(link()).ok());
  EXPECT_EQ(registry_->add_link(link()).error().code, ErrorCode::already_exists);
  Link failed = link();
  failed.state = LinkState::failed;
  EXPECT_TRUE(registry_->set_link(failed).value());
  EXPECT_TRUE(registry_->unfinished_links()->empty());
  EXPECT_TRUE(registry_->add_link(link("t")).ok());
  EXPECT_FALSE(registry_->set_link(failed).value());  // of a subject that is no more
  EXPECT_EQ(registry_->find_link("p", "e", "door").value()->subject, "t");
}

TEST_F(RegistryTest, WhoIsBeingDeletedOptsInNoMore) {
  register_person();
  ASSERT_TRUE(registry_->add_link(link()).ok());
  ASSERT_TRUE(registry_->set_deleting("p").ok());
  EXPECT_EQ(registry_->links_of("p")->at(0).state, LinkState::erasing);
  EXPECT_EQ(registry_->add_link(link("t", "payment")).error().code, ErrorCode::refused);
  ASSERT_TRUE(registry_->remove_link(link()).ok());
  ASSERT_TRUE(registry_->remove_person("p").ok());
  EXPECT_FALSE(registry_->find_session(kSession)->has_value());
}

TEST_F(RegistryTest, SurvivesItsProcess) {
  register_person();
  ASSERT_TRUE(registry_->add_link(link()).ok());
  registry_.reset();
  registry_ = Registry::open(directory_ / "registry.sqlite").value();
  EXPECT_EQ(registry_->find_session(kSession).value()->id, "p");
  EXPECT_EQ(registry_->unfinished_links()->size(), 1u);
}

}  // namespace
}  // namespace bauta::linkage
