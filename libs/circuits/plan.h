// From a network to the schedule of its encrypted evaluation.
#pragma once

#include <set>
#include <string>

#include "circuits/cost_model.h"
#include "circuits/layout.h"

namespace bauta::circuits {

// One layer. Its input has `limbs` limbs and scale `scale`; every layer ends by dividing by one
// limb.
struct Step {
  std::string name = {};
  size_t limbs = 0;
  double scale = 1;
  double weight_scale = 1;  // of a linear layer's or a convolution's factors, and its shortcut's
  size_t baby_count = 0;    // of a convolution's steps
  Work work = {};
};

// Follows from the network's shape and the degree alone, the same on every machine, so that edge,
// authentication server and key service agree.
//
// There is one level more than the network is deep: for the factor that brings an embedding to
// length one. All convolutions, and shortcuts, come out at the same scale, so that they can be
// added: with h at scale s, (h + shift)^2 rescaled is at s^2 / q, and the weights of the
// convolution behind it are encoded at q q' / s.
struct Plan {
  ImageRing ring;
  std::vector<Layout> layouts;  // of what each layer takes
  size_t groups = 0;            // of patches, evaluated one after the other
  match::Parameters gallery;
  double input_scale = 1;
  double result_scale = 1;
  std::vector<Step> steps = {};
  // The keys for all that, each with the limbs of its stage.
  std::set<ckks::KeyUse> keys = {};
  size_t weight_bytes = 0;   // of factors and shifts, in memory
  size_t working_bytes = 0;  // of ciphertexts in flight
  // Of all of the above: what an encrypted image is made for.
  Digest digest{};

  // Of an image: the strands of the first group, then those of the next.
  size_t ciphertexts() const { return groups * layouts.front().lead(); }
  size_t key_bytes() const;  // in memory
  size_t bytes() const;      // all memory that an evaluation takes
  size_t key_wire_bytes() const;
  // Key switches of whole ciphertexts; of hoisted ones; products with plaintexts.
  size_t rotations = 0, rotations_hoisted = 0, plain_products = 0;
  Work work() const;
};

// Plans that would take more memory are refused: a network file is not to be trusted.
inline constexpr size_t kMaxPlanBytes = size_t{8} << 30;

// For image mode, in which an image is one ciphertext. Errors invalid_argument: a network that does
// not fit into one ciphertext, is too deep, has an embedding that no gallery takes, or wants more
// than kMaxPlanBytes.
Result<Plan> make_plan(const network::Network& network);
// The same for a network that takes several ciphertexts.
Result<Plan> make_wide_plan(const network::Network& network);
// For tests: in a small ring without security.
Result<Plan> insecure_make_plan(const network::Network& network, size_t degree);

}  // namespace bauta::circuits
