// 03: a program recognises people over the network: through an edge, or as an edge of its own.
//
// Its arguments name the other side and two photos of one person:
//   edge HOST PORT AUTHORITY API_KEY PHOTO PHOTO
//   own ID AUTH_ADDRESS KEY_ADDRESS AUTHORITY CERTIFICATE PRIVATE_KEY DIRECTORY PHOTO PHOTO
// "edge" sends the photos to the edge; "own" encrypts their features here, and no photo leaves.
// Both need a deployment that runs; docs/operations/services.md says where its files are.

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "services/client/client.h"

using namespace bauta;

namespace {

constexpr size_t kMaxPhoto_bytes = 8 << 20;

Result<std::unique_ptr<client::Client>> connect(const std::vector<std::string>& a) {
  if (a.size() == 7 && a[0] == "edge")
    return client::connect_to_edge({a[1], std::atoi(a[2].c_str()), a[3], a[4]});
  if (a.size() == 10 && a[0] == "own") {
    client::OwnEdge own;
    own.id = a[1];
    own.auth_service = a[2];
    own.key_service = a[3];
    own.authority = a[4];
    own.certificate = a[5];
    own.private_key = a[6];
    own.directory = a[7];
    return client::become_edge(own);
  }
  return make_error(ErrorCode::invalid_argument, "the first lines of this file say what to give");
}

const char* text(client::Decision decision) {
  return decision == client::Decision::accepted   ? "accepted"
         : decision == client::Decision::rejected ? "rejected"
                                                  : "failed";
}

Status ask(const std::vector<std::string>& arguments) {
  BAUTA_TRY(const std::unique_ptr<client::Client> client, connect(arguments));
  BAUTA_TRY(const Bytes first, read_file(arguments[arguments.size() - 2], kMaxPhoto_bytes));
  BAUTA_TRY(const Bytes second, read_file(arguments.back(), kMaxPhoto_bytes));

  BAUTA_CHECK(client->create_gallery("example"));
  BAUTA_TRY(const client::Enrolment enrolment, client->enrol("example", "s1", {&first, 1}));
  std::printf("enrolled %zu reference\n", enrolment.references.size());
  BAUTA_TRY(const client::Recognition found, client->identify("example", second));
  std::printf("identify: %s %s\n", text(found.decision), found.subject.c_str());
  BAUTA_TRY(const client::Recognition same, client->verify("example", "s1", second));
  std::printf("verify: %s\n", text(same.decision));
  BAUTA_TRY(const size_t erased, client->erase("example", "s1"));
  std::printf("erased %zu\n", erased);
  BAUTA_TRY(const client::Recognition gone, client->identify("example", second));
  std::printf("identify: %s\n", text(gone.decision));
  return client->delete_gallery("example");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    std::puts("nobody to ask was named; the first lines of this example say how");
    return 0;
  }
  const Status asked = ask({argv + 1, argv + argc});
  if (!asked.ok()) std::fprintf(stderr, "%s\n", asked.error().message.c_str());
  return asked.ok() ? 0 : 1;
}
