#include <fstream>

#include "base/file.h"
#include "store/state.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

using SchemaTest = CatalogueTest;

constexpr const char* kOne = "CREATE TABLE a (x INTEGER)";
constexpr const char* kTwo = "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7";
constexpr const char* kThree = "CREATE TABLE b (z INTEGER)";

Result<Connection> open_with(const std::filesystem::path& path, std::vector<const char*> steps) {
  return open_catalogue(path, 100, steps);
}

void run_raw(const std::filesystem::path& path, const std::string& sql) {
  auto connection = Connection::open(path, 100);
  ASSERT_TRUE(connection.ok()) << connection.error().message;
  const Status status = connection->run_script(sql);
  ASSERT_TRUE(status.ok()) << status.error().message;
}

TEST_F(SchemaTest, AnOlderFileIsBroughtForwardStepByStepWithItsRows) {
  ASSERT_TRUE(create_catalogue(path(), std::vector{kOne}).ok());
  run_raw(path(), "INSERT INTO a VALUES (5)");
  auto newer = open_with(path(), {kOne, kTwo, kThree});
  ASSERT_TRUE(newer.ok()) << newer.error().message;
  EXPECT_EQ(*newer->query_integer("SELECT x + y FROM a"), 12);
  EXPECT_EQ(*newer->query_integer("SELECT count(*) FROM b"), 0);
  EXPECT_EQ(*newer->query_integer("PRAGMA user_version"), 3);
  EXPECT_TRUE(open_with(path(), {kOne, kTwo, kThree}).ok());
}

TEST_F(SchemaTest, AStepThatFailsLeavesTheVersionBeforeIt) {
  ASSERT_TRUE(create_catalogue(path(), std::vector{kOne}).ok());
  EXPECT_FALSE(open_with(path(), {kOne, kTwo, "CREATE TABLE c (x); CREATE TABLE a (x)"}).ok());
  auto connection = open_with(path(), {kOne, kTwo});
  ASSERT_TRUE(connection.ok()) << connection.error().message;
  EXPECT_EQ(*connection->query_integer("PRAGMA user_version"), 2);
  EXPECT_EQ(*connection->query_integer("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(SchemaTest, OpenFailsIfTheSchemaIsNewerAndChangesNothing) {
  ASSERT_TRUE(create_catalogue(path(), std::vector{kOne, kTwo}).ok());
  const Bytes before = *read_file(path(), 1 << 20);
  const auto opened = open_with(path(), {kOne});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::mismatch);
  EXPECT_NE(opened.error().message.find("schema version 2"), std::string::npos);
  EXPECT_NE(opened.error().message.find(path().string()), std::string::npos);
  EXPECT_EQ(*read_file(path(), 1 << 20), before);
}

TEST_F(SchemaTest, OpenFailsIfTheFileBelongsToAnotherProgram) {
  std::ofstream(path()).close();
  run_raw(path(), "CREATE TABLE songs (title TEXT)");
  EXPECT_EQ(Catalogue::open(path()).error().code, ErrorCode::mismatch);
}

TEST_F(SchemaTest, OpenFailsIfTheFileIsNotADatabase) {
  std::ofstream(path()) << std::string(10000, 'x');
  const auto opened = Catalogue::open(path());
  EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
  EXPECT_NE(opened.error().message.find(path().string()), std::string::npos);
}

TEST_F(SchemaTest, OpenFailsIfTheFileHasLostItsContent) {
  std::ofstream(path()).close();
  EXPECT_EQ(Catalogue::open(path()).error().code, ErrorCode::corrupt);
}

TEST_F(SchemaTest, OpenFailsIfOnlyTheLogIsLeft) {
  std::ofstream(path().string() + "-wal") << "frames";
  EXPECT_EQ(Catalogue::open(path()).error().code, ErrorCode::corrupt);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(SchemaTest, OpenFailsIfThereIsNoSuchDirectoryOrThePathIsOne) {
  EXPECT_EQ(Catalogue::open(directory_.path() / "no" / "catalogue.db").error().code,
            ErrorCode::not_found);
  EXPECT_EQ(Catalogue::open(directory_.path()).error().code, ErrorCode::unavailable);
}

TEST_F(SchemaTest, CreationLeavesNothingBesideTheCatalogue) {
  { Catalogue catalogue = open(); }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(SchemaTest, ProcessesThatCreateTheSameCatalogueAllGetIt) {
  for (int round = 0; round < 10; ++round) {
    const auto file = directory_.path() / fmt::format("catalogue-{}.db", round);
    const std::string finding = in_child_process([&]() -> std::string {
      std::vector<pid_t> children;
      for (int i = 0; i < 6; ++i) {
        const pid_t child = fork();
        if (child != 0) {
          children.push_back(child);
          continue;
        }
        auto catalogue = Catalogue::open(file);
        if (!catalogue.ok()) _exit(1);
        _exit(catalogue->create_gallery(new_gallery(fmt::format("g{}", i))).ok() ? 0 : 2);
      }
      std::string failures;
      for (const pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        if (status != 0) failures += fmt::format("status {} ", status);
      }
      return failures;
    });
    EXPECT_EQ(finding, "");
    EXPECT_EQ(Catalogue::open(file)->list_galleries()->size(), 6u);
  }
}

// Version 1 of the real schema, with one live and one erased reference.
TEST_F(SchemaTest, Version1IsBroughtForwardWithItsReferencesAndTheirNumbering) {
  ASSERT_TRUE(create_catalogue(path(), schema_steps().first(1)).ok());
  Gallery gallery;
  gallery.id = 1;
  gallery.name = "doors";
  gallery.key_id = "key-1";
  gallery.contract = "c";
  gallery.dimension = 128;
  const Bytes original = original_bytes(1);
  const Reference kept{1, 0, 5};
  auto connection = Connection::open(path(), 100);
  ASSERT_TRUE(connection.ok());
  const auto run = [&](std::string_view sql, std::initializer_list<Value> values) {
    const Status status = connection->run(sql, values);
    ASSERT_TRUE(status.ok()) << status.error().message;
  };
  run("INSERT INTO gallery VALUES (1, 'doors', 'key-1', 'c', 128, 0, ?1, 3)",
      {gallery_digest(gallery)});
  run("INSERT INTO payload VALUES (1, zeroblob(4096), ?1)", {original});
  run("INSERT INTO reference VALUES (1, 1, 0, 1, 1, 'anna', 5, 1000, ?1, ?2, 1)",
      {sha256(original), reference_digest(1, "anna", kept, sha256(original))});
  run("INSERT INTO reference VALUES (9, 1, 1, 3, 3, NULL, 5, 0, NULL, NULL, NULL)", {});
  connection = make_error(ErrorCode::internal, "closed");

  Catalogue catalogue = open();
  EXPECT_TRUE(catalogue.check().ok());
  EXPECT_EQ(*catalogue.read_original(*catalogue.find_gallery("doors"), 1), original);
  const auto enrolled = catalogue.enrol(*catalogue.find_gallery("doors"), "ben",
                                        std::vector<Bytes>{original_bytes(2)});
  ASSERT_TRUE(enrolled.ok()) << enrolled.error().message;
  EXPECT_EQ(enrolled->front().id, 10);
  EXPECT_EQ(enrolled->front().position, 1u);
}

}  // namespace
}  // namespace bauta::store
