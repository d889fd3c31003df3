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

// SoftHSM2 empties and rewrites the file that makes a directory a token (token.object) at every
// login, and whoever is killed meanwhile leaves it cut, and the token gone. So a copy is kept, of
// the file after a login that worked, and takes the place of a file that is missing or shorter:
// logins change a few flags in it, never its length. Both while the directory is locked. Error
// unavailable: the file cannot be written.
Status keep_token_files(const std::filesystem::path& directory);
Status mend_token_files(const std::filesystem::path& directory);

// Whether nothing can be written there for lack of space.
bool is_disk_full(const std::filesystem::path& directory);

}  // namespace bauta::keys
