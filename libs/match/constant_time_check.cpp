// Runs what handles a secret here, the flood, on a poisoned seed (see bauta_constant_time_test).
#include <array>
#include <cstdio>
#include <string_view>

#include "base/poison.h"
#include "match/flood.h"

namespace bauta::match {
namespace {

std::array<double, kDegree> draws_of_poisoned_seed() {
  SecretBytes seed = SecretBytes::create(32).value();
  poison(seed.span());
  const Flood flood = Flood::create(seed, Digest{}).value();
  std::array<double, kDegree> draws;
  flood.draw(3, draws);
  return draws;
}

}  // namespace
}  // namespace bauta::match

int main(int argc, char** argv) {
  const auto draws = bauta::match::draws_of_poisoned_seed();
  // Must be reported.
  if (argc > 1 && std::string_view(argv[1]) == "control")
    std::puts(draws[0] > 0 ? "above" : "below");
  return 0;
}
