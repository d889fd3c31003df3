// The default token: SoftHSM2 with a directory of its own, outside the data directory and its
// backups. Its PINs lie in that directory, so whoever can read the directory holds the keys; a
// hardware token is what keeps them from that (docs/operations/keys.md).
#pragma once

#include <filesystem>

#include "keys/token.h"

namespace bauta::keys {

// $BAUTA_TOKEN, or else ~/.local/share/bauta-token. Error when neither BAUTA_TOKEN nor HOME is set.
Result<std::filesystem::path> default_token_directory();

// How to open the embedded token in `directory`. `module_path` for a SoftHSM2 that is installed
// elsewhere; empty finds it where Debian and others put it.
TokenConfig embedded_token_config(const std::filesystem::path& directory,
                                  const std::filesystem::path& module_path = {});

// Where the embedded token's security officer keeps the PIN.
PinSource embedded_officer_pin(const std::filesystem::path& directory);

// Makes the token, with random PINs, in `directory` (mode 0700), unless it is there already; a
// creation that was interrupted is completed. Returns true when it made one. Errors: refused when
// others than the owner may enter the directory or it holds something else; not_found when
// SoftHSM2 is not installed; busy when another process creates it for more than 10 s.
// A token that was opened in another directory must have been closed in this process.
Result<bool> create_embedded_token(const std::filesystem::path& directory,
                                   const std::filesystem::path& module_path = {});

}  // namespace bauta::keys
