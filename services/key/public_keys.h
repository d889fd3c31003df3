// A key generation's evaluation keys on disk, so that they are made once: whoever asks again, or is
// another server, gets the same bytes. They let their holder transform ciphertexts, not read them;
// still a changed one must not be given out, as it would make wrong scores.
#pragma once

#include <filesystem>

#include "bauta/v1/key.pb.h"
#include "keys/key_store.h"

namespace bauta::key {

// Files public/KEY_ID.DIMENSION of a directory, mode 0600: SHA-256 of the rest of the file, KEY_ID
// (16 bytes), u32 dimension, u32 length and Galois keys, u32 length and relinearisation key. Safe
// to use from many threads: a file appears whole.
class PublicKeys {
 public:
  // Makes DIRECTORY/public.
  static Result<PublicKeys> open(const std::filesystem::path& directory);

  // Errors: not_found also for a file that is damaged or of another key (its keys are then made
  // again, and put() replaces it); unavailable when it cannot be read. Reads and digests 50 MB at
  // 512 dimensions.
  Result<v1::EvaluationKeys> find(const keys::KeyId& key_id, size_t dimension) const;
  // Replaces what is there. Errors of write_file_atomically.
  Status put(const keys::KeyId& key_id, size_t dimension, const v1::EvaluationKeys& keys) const;
  // Of every dimension; fine if there are none. Error unavailable.
  Status remove(const keys::KeyId& key_id) const;

 private:
  explicit PublicKeys(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path file(const keys::KeyId& key_id, size_t dimension) const;

  std::filesystem::path directory_;
};

}  // namespace bauta::key
