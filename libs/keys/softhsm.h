// What is particular to SoftHSM2: it finds its tokens through a file that an environment variable
// names. Internal to libs/keys.
#pragma once

#include <filesystem>

#include "base/file.h"

namespace bauta::keys {

// Points SoftHSM2, from its next start in this process, at the tokens of `directory`, and writes
// the configuration file there anew when the directory has moved. Error not_found when the
// directory holds no tokens.
Status select_softhsm_directory(const std::filesystem::path& directory);

// Held while a token is made in the directory or logged in to. Error busy after 10 s.
Result<FileLock> lock_softhsm_directory(const std::filesystem::path& directory);

// Waits until what SoftHSM2 has written is on the disk; it does not do so itself.
Status sync_softhsm_directory(const std::filesystem::path& directory);

// Whether nothing can be written there for lack of space.
bool is_disk_full(const std::filesystem::path& directory);

}  // namespace bauta::keys
