// A6: templates of half integers. A coefficient of half the modulus is no template of any length,
// but its product with an even weight is small, so every projection that shows it has one chance in
// two to pass.
#pragma once

#include <cstdint>
#include <vector>

namespace bauta::laboratory {

// Of `tries` templates with one such coefficient, how many pass the first 1, 2, .. `projections`.
std::vector<uint64_t> passing(uint64_t tries, unsigned projections, uint64_t seed);

}  // namespace bauta::laboratory
