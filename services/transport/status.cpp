#include "services/transport/status.h"

#include <array>
#include <utility>

namespace bauta::transport {
namespace {

// Tells our own errors from those that gRPC makes itself under the same codes.
constexpr const char* kOurs = "bauta";

constexpr size_t kMaxMessage_bytes = 2048;

constexpr std::array<std::pair<ErrorCode, grpc::StatusCode>, 10> kCodes{{
    {ErrorCode::invalid_argument, grpc::StatusCode::INVALID_ARGUMENT},
    {ErrorCode::not_found, grpc::StatusCode::NOT_FOUND},
    {ErrorCode::already_exists, grpc::StatusCode::ALREADY_EXISTS},
    {ErrorCode::corrupt, grpc::StatusCode::DATA_LOSS},
    {ErrorCode::mismatch, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::refused, grpc::StatusCode::PERMISSION_DENIED},
    {ErrorCode::busy, grpc::StatusCode::ABORTED},
    {ErrorCode::no_space, grpc::StatusCode::RESOURCE_EXHAUSTED},
    {ErrorCode::unavailable, grpc::StatusCode::UNAVAILABLE},
    {ErrorCode::internal, grpc::StatusCode::INTERNAL},
}};

}  // namespace

grpc::Status to_grpc(const Error& error) {
  for (const auto& [ours, theirs] : kCodes)
    if (ours == error.code)
      return grpc::Status(theirs, error.message.substr(0, kMaxMessage_bytes), kOurs);
  return grpc::Status(grpc::StatusCode::INTERNAL, error.message.substr(0, kMaxMessage_bytes),
                      kOurs);
}

Error from_grpc(const grpc::Status& status, const std::string& peer) {
  if (status.error_details() == kOurs)
    for (const auto& [ours, theirs] : kCodes)
      if (theirs == status.error_code()) return Error{ours, status.error_message()};
  switch (status.error_code()) {
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return make_error(ErrorCode::unavailable, "{} did not answer in time", peer);
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return make_error(ErrorCode::unavailable, "{} refused the message: {}", peer,
                        status.error_message());
    default:
      return make_error(ErrorCode::unavailable, "the connection to {} failed: {}", peer,
                        status.error_message());
  }
}

}  // namespace bauta::transport
