#include "services/run/config.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace bauta::run {
namespace {

namespace fs = std::filesystem;

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-config-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(directory_); }
  Result<Config> read(const std::string& text) {
    BAUTA_CHECK(write_file_atomically(directory_ / "bauta.toml", as_bytes(text)));
    return read_config(directory_ / "bauta.toml");
  }
  std::string refusal(const std::string& text) {
    const auto config = read(text);
    EXPECT_FALSE(config.ok()) << text;
    return config.ok() ? "" : config.error().message;
  }
  fs::path directory_;
};

TEST_F(ConfigTest, ReadsWhatItWrites) {
  Config config;
  config.edge.id = "north \"door\"";
  config.key.tenants = {"a", "b"};
  config.edge.api_keys.push_back({"device", "enrol", sha256(as_bytes("key"))});
  const Config read_back = read(to_toml(config)).value();
  EXPECT_EQ(read_back.edge.id, config.edge.id);
  EXPECT_EQ(read_back.key.tenants, config.key.tenants);
  EXPECT_EQ(read_back.edge.api_keys.at(0).role, "enrol");
  EXPECT_EQ(read_back.edge.api_keys.at(0).sha256, sha256(as_bytes("key")));
  EXPECT_EQ(read_back.auth.tls.private_key, directory_ / "tls/auth.key");
}

TEST_F(ConfigTest, ReadsTheEnginesItWrites) {
  Config config;
  LinkedEngine engine;
  engine.name = "elsewhere";
  engine.purposes = {"door", "payment"};
  engine.auth_service = "auth.example:7442";
  engine.key_service = "key.example:7443";
  engine.tls = {"their/ca.pem", "their/linkage.pem", "/keys/linkage.key"};
  config.linkage.engines.push_back(engine);
  const Config read_back = read(to_toml(config)).value();
  ASSERT_EQ(read_back.linkage.engines.size(), 1u);
  const LinkedEngine& read_engine = read_back.linkage.engines.front();
  EXPECT_EQ(read_engine.purposes, engine.purposes);
  EXPECT_EQ(read_engine.title, "elsewhere");
  EXPECT_EQ(read_engine.tls.authority, directory_ / "their/ca.pem");
  EXPECT_EQ(read_engine.tls.private_key, "/keys/linkage.key");
  EXPECT_TRUE(read_engine.config.empty());
  const std::string table = to_toml(config).substr(to_toml(config).find("[[linkage.engines]]"));
  EXPECT_NE(refusal(to_toml(config) + table).find("two engines have the name 'elsewhere'"),
            std::string::npos);
}

TEST_F(ConfigTest, AnEmptyFileMeansTheDefaults) {
  const Config config = read("").value();
  EXPECT_EQ(config.edge.listen, Config().edge.listen);
  EXPECT_EQ(config.data, directory_ / "");
}

TEST_F(ConfigTest, ReadsApiKeysInEitherCaseAndEachNameOnce) {
  const std::string key = "[[edge.api_keys]]\nname = \"a\"\nrole = \"admin\"\nsha256 = \"" +
                          std::string(62, '0') + "Ab\"\n";
  EXPECT_EQ(read(key).value().edge.api_keys.at(0).sha256.back(), 0xab);
  EXPECT_NE(refusal(key + key).find("two API keys have the name 'a'"), std::string::npos);
}

TEST_F(ConfigTest, TakesAnyAddress) {
  for (const char* address : {"[::]:8443", "[::1]:8443", "0.0.0.0:0", "edge.example:65535"})
    EXPECT_EQ(read(fmt::format("[edge]\nlisten = \"{}\"", address)).value().edge.listen, address);
}

TEST_F(ConfigTest, NamesWhatIsWrongAndWhere) {
  EXPECT_NE(refusal("[edge]\nlisten = 7").find("line 2: edge.listen should be an address"),
            std::string::npos);
  for (const char* text : {"[edge]\nlisten = \"nowhere\"",
                           "[edge]\nlisten = \"host:70000\"",
                           "[edge]\nlisten = \":80\"",
                           "[edge]\nlisten = \"::1:80\"",
                           "[edge]\nlisten = \"[::1:80\"",
                           "[edge]\nlisten = \"host:\"",
                           "[edge]\nlisten = \"host:8 0\"",
                           "[edge]\nmax_images = 0",
                           "[edge]\nmax_images = 1.5",
                           "[edge]\nunknown = 1",
                           "[egde]\n",
                           "edge = 1",
                           "[key]\ntenants = [1]",
                           "[key]\ntenants = \"a\"",
                           "[auth]\ncertificate = \"\"",
                           "[edge",
                           "[[edge.api_keys]]\nname = \"a\"",
                           "[linkage]\nengines = 1",
                           "[[linkage.engines]]\nname = \"a\"",
                           "[[linkage.engines]]\nnames = \"a\"",
                           "[linkage]\noperator_key_sha256 = \"0a\"",
                           "[[edge.api_keys]]\nname = \"a\"\nrole = \"king\"\nsha256 = \"00\"",
                           "[[edge.api_keys]]\nname = \"a\"\nrole = \"admin\"\nsha256 = \"00\""})
    EXPECT_NE(refusal(text).find("bauta.toml, line "), std::string::npos) << text;
  EXPECT_EQ(read_config(directory_ / "none.toml").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace bauta::run
