// The error of encrypted scores on embeddings of photographs, which are less random than random
// vectors. Needs the photographs.

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "face/detect.h"
#include "face/engine.h"
#include "face/evaluation.h"
#include "match/test_tenant.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPhotos = 4500;  // some have no face that can be used, or more than one
constexpr size_t kProbes = 20;

std::vector<fs::path> photographs(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".jpg") found.push_back(entry.path());
  std::ranges::sort(found);
  found.resize(std::min(found.size(), kPhotos));
  return found;
}

TEST(LfwScores, ABlockOfThemIsScoredAsInTheClear) {
  const char* faces = std::getenv("BAUTA_FACES");
  if (faces == nullptr) GTEST_SKIP() << "set BAUTA_FACES to the folder that holds lfw/images";
  const auto engine = face::make_engine("patchnet", BAUTA_SOURCE_DIR "/models");
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  ThreadPool threads(available_processors());
  const auto images = face::embed_images(
      photographs(fs::path(faces) / "lfw/images"),
      [] { return face::make_detector("haar5", BAUTA_SOURCE_DIR "/models"); }, **engine, {},
      threads);
  ASSERT_TRUE(images.ok()) << images.error().message;
  std::vector<match::Embedding> people;
  for (const auto& [path, image] : *images)
    if (image.embedding && people.size() < match::kDegree) people.push_back(*image.embedding);
  ASSERT_GT(people.size(), 1000u);

  const match::TestTenant tenant((*engine)->contract().dimension);
  match::Gallery gallery(tenant.keys, match::no_original);
  ASSERT_TRUE(
      gallery.append_block(match::make_block(tenant, people), match::first_positions(people.size()))
          .ok());
  match::ScoreErrors worst;
  for (size_t i = 0; i < kProbes; ++i) {
    const match::Embedding& probe = people[i * people.size() / kProbes];
    const match::ScoreErrors errors =
        match::score_errors(tenant, match::must(gallery.search(tenant.probe(probe))), probe,
                            [&](uint64_t slot) -> const match::Embedding& { return people[slot]; });
    EXPECT_EQ(errors.scores, people.size());
    worst.rms = std::max(worst.rms, errors.rms);
    worst.max = std::max(worst.max, errors.max);
  }
  fmt::print("a block of {} photographs, {} probes: score error rms {:.2e}, max {:.2e}\n",
             people.size(), kProbes, worst.rms, worst.max);
  EXPECT_LT(worst.rms, 1.5e-5);
  EXPECT_LT(worst.max, 7e-5);
}

}  // namespace
}  // namespace bauta
