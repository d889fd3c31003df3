// Rewriting: imported blocks have no originals that could be subtracted, so what was erased in them
// is taken out by who holds the key. One block after the other, each in a transaction: interrupted
// anywhere, the gallery opens, and the next attempt goes on.
#pragma once

#include <functional>

#include "services/auth/compaction.h"

namespace bauta::auth {

// The ciphertexts of a block, encrypted anew without the references at these coefficients
// (key::KeyServer::rewrite_block).
using RewriteBlock = std::function<Result<match::TiledCiphertexts>(
    const match::TiledCiphertexts& images, std::span<const uint32_t> coefficients)>;

struct Rewriting {
  uint64_t references = 0;            // erased ones that are gone now
  size_t rewritten = 0, dropped = 0;  // blocks; dropped: nobody was left in it
};

// Errors: corrupt, naming the way out, for a damaged block; busy; those of rewrite_block and of the
// catalogue. What was done before stays done.
Result<Rewriting> rewrite(store::Catalogue& catalogue, const std::filesystem::path& directory,
                          const store::Gallery& gallery, const match::EvaluationKeys& keys,
                          const RewriteBlock& rewrite_block);

}  // namespace bauta::auth
