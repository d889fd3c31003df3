// A3: what ordinary decisions at the threshold tell of the tenant's key.
#pragma once

#include "tests/attacks/laboratory/linear_form.h"

namespace bauta::laboratory {

struct NoiseAttack {
  size_t decisions = 20'000;
  double flood = 0;  // standard deviation in units of the score
};

// In numbers: forms as the rounding of the key switch has them, 4,096 coefficients, scores with the
// measured deviation of 2.4e-7, of which the form explains 97 %.
Verdict read_in_numbers(const NoiseAttack& attack, uint64_t seed);

// With ciphertexts: an honest server's path from the bytes of a probe to the score, decrypted with
// the tenant's key; the attacker has the server's memory, its own edge key and the answers. The
// answers are those of the decision protocol as it was, with `flood` added before the threshold.
Verdict read_with_ciphertexts(const NoiseAttack& attack);

}  // namespace bauta::laboratory
