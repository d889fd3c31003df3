// JSON of what the parties answer: the HTTPS interface and the command line say it alike.
#pragma once

#include <nlohmann/json.hpp>

#include "services/edge/edge.h"

namespace bauta::rest {

using Json = nlohmann::ordered_json;

// {detect_align, extract, encrypt, match, decide, total}, milliseconds to the microsecond.
Json to_json(const edge::Timings& timings);

// {gallery, subjects, references, erased, damaged_segments, key_id, contract}.
Json to_json(const v1::Gallery& gallery);

// "accepted", "rejected", or "failed" when the image gave no decision.
const char* decision_name(v1::Decision decision);

}  // namespace bauta::rest
