// Renewal of a gallery: everything that is under one key of its tenant is switched to a later one
// and never decrypted, while searches and enrolments go on under the first; a request that began
// before the change-over ends under the first, or fails with mismatch or busy. It can be
// interrupted anywhere: until its last step, one transaction, the gallery is under the first key,
// and what was renewed by then is kept for the next attempt.
#pragma once

#include <stop_token>

#include "base/thread_pool.h"
#include "match/gallery.h"
#include "match/renewal.h"
#include "store/backup.h"

namespace bauta::auth {

struct RenewalCounts {
  uint64_t originals = 0;  // renewed by this attempt
  uint64_t imported = 0;   // references without originals, in whole blocks
  size_t segments = 0;
};

struct RenewalOptions {
  // Called with the references that are done so far, those of earlier attempts included.
  std::function<void(uint64_t references)> progress = [](uint64_t) {};
  std::stop_token stop = {};
};

// Renews the gallery from the key of `keys` to key_id, which is that of `new_keys`. Errors:
// mismatch when it is under another key by now; corrupt, naming the way out, when a block without
// originals is damaged; unavailable when it was stopped; no_space, with which what is renewed is
// kept; busy; those of the catalogue.
Result<RenewalCounts> renew(store::Catalogue& catalogue, const std::filesystem::path& directory,
                            const store::Gallery& gallery, const std::string& key_id,
                            const match::EvaluationKeys& keys,
                            const match::EvaluationKeys& new_keys, const match::Renewal& renewal,
                            ThreadPool& threads, const RenewalOptions& options);

// Removes what is left under the key before: segments, originals, their copies in the log.
Status remove_former(store::Catalogue& catalogue, const std::filesystem::path& directory,
                     const store::Gallery& gallery);

}  // namespace bauta::auth
