// Trust between two tokens, the start of every backup (docs/operations/keys.md).
#pragma once

#include "keys/token.h"

namespace bauta::keys {

// Lets the token of `config` wrap its keys under another token's backup key (Token::
// create_backup_key): what its user may not do alone, its security officer decides here. Replaces
// the backup key trusted before. No Token of the same module may be open in this process. Errors:
// invalid_argument when it is no such public key; those of Token::open, with the officer's PIN.
Status trust_backup_key(const TokenConfig& config, const PinSource& officer_pin,
                        ByteView public_key);

}  // namespace bauta::keys
