// Galleries within one process, for measurements: references encrypted by the edge of a local
// tenant and switched to its key.
#pragma once

#include <span>

#include "match/gallery.h"
#include "match/local_tenant.h"

namespace bauta::cli {

// A gallery of these has none to read.
Result<match::StoredReference> no_original(uint64_t slot);

// rows: unit vectors, one after another. One by one from this slot on, so that a block folds as
// narrowly as it can.
Status insert_references(const match::LocalTenant& tenant, std::span<const float> rows,
                         uint64_t first_slot, match::Gallery& gallery);

// Up to match::kDegree rows as a whole block behind the last.
Status append_block(const match::LocalTenant& tenant, std::span<const float> rows,
                    match::Gallery& gallery, ThreadPool& threads);

}  // namespace bauta::cli
