#include "base/npy.h"

#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace bauta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string npy(const std::string& dictionary, const std::string& values, char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  const size_t size = dictionary.size();
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    file += static_cast<char>(size >> (8 * i) & 0xff);
  return file + dictionary + values;
}

template <typename Value>
std::string values_of(std::initializer_list<Value> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(Value)};
}

Result<NpyHeader> parse(const std::string& file) {
  return parse_npy_header(as_bytes(file), file.size(), "people.npy");
}

class NpyTest : public testing::Test {
 protected:
  ~NpyTest() override { std::filesystem::remove(path_); }
  Result<NpyFile> open(const std::string& file) {
    std::ofstream(path_, std::ios::binary) << file;
    return NpyFile::open(path_);
  }
  std::filesystem::path path_ = testing::TempDir() + fmt::format("bauta-{}.npy", getpid());
};

TEST_F(NpyTest, RowsOfBothTypesAreRead) {
  // As numpy.save writes them.
  const std::string f4 = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }   \n",
                             values_of<float>({1, 2, 3, 4, 5, 6}));
  const auto file = open(f4);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->rows(), 3u);
  EXPECT_EQ(file->columns(), 2u);
  EXPECT_THAT(*file->read(1, 2), ElementsAre(3, 4, 5, 6));
  EXPECT_TRUE(file->read(3, 0)->empty());
  const std::string f8 = npy("{'shape':(1,2),'fortran_order':False,'descr':'<f8'}",
                             values_of<double>({0.5, -0.25}), 2);
  EXPECT_THAT(*open(f8)->read(0, 1), ElementsAre(0.5f, -0.25f));
}

TEST_F(NpyTest, OtherArraysAreRefusedWithTheWayOut) {
  const std::string values = values_of<float>({1, 2, 3, 4});
  const struct {
    const char* dictionary;
    const char* says;
  } cases[] = {
      {"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 1), }", "float32"},
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 2), }", "float32"},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", "ascontiguousarray"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", "1 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "0 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2), }", "3 dimensions"},
  };
  for (const auto& [dictionary, says] : cases) {
    const auto header = parse(npy(dictionary, values));
    ASSERT_FALSE(header.ok()) << dictionary;
    EXPECT_EQ(header.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(header.error().message, HasSubstr(says));
    EXPECT_THAT(header.error().message, HasSubstr("people.npy"));
  }
}

TEST_F(NpyTest, BrokenFilesAreRefused) {
  const std::string values = values_of<float>({1, 2, 3, 4});
  const std::string whole =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", values);
  ASSERT_TRUE(parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(parse(whole.substr(0, size)).error().code, ErrorCode::corrupt) << size;
  EXPECT_EQ(parse(whole + "x").error().code, ErrorCode::corrupt);
  for (const char* dictionary :
       {"", "{", "{}", "{'descr': '<f4'}", "{'descr': [('a', '<f4')], 'shape': (2, 2)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2305843009213693956, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2), }"})
    EXPECT_EQ(parse(npy(dictionary, values)).error().code, ErrorCode::corrupt) << dictionary;
  EXPECT_EQ(NpyFile::open("/nowhere/a.npy").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace bauta
