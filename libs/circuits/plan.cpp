#include "circuits/plan.h"

#include <algorithm>
#include <cmath>

#include "circuits/diagonals.h"
#include "ring/word_storage.h"

namespace bauta::circuits {
namespace {

constexpr double kInputScale = 0x1p30;
// Above the levels' primes, so that the rounding of a rescale is a smaller part of a slot; not far
// above, because the weights lose what the trunk gains.
constexpr double kTrunkScale = 0x1p31;

// Leaves room for a bias times the scale of the products it is added to.
constexpr double kLinearScale = 0x1p26;

// What a pass costs in the choice of the steps, which must not depend on the machine.
constexpr PassTimes kReferencePasses = {
    .transform = 43, .key_product = 8, .conversion_product = 5, .factor_product = 2.5, .move = 6};

class Planner {
 public:
  Planner(const network::Network& network, Plan& plan)
      : network_(network), plan_(plan), cost_(plan.ring) {}

  Status run() {
    choose_baby_count();
    size_t limbs = plan_.ring.limbs();
    double scale = plan_.input_scale;
    for (size_t i = 0; i < network_.layers.size(); ++i, --limbs) {
      Step step{.limbs = limbs, .scale = scale};
      const double modulus = plan_.ring.parameters().all_moduli().modulus(limbs - 1).value();
      if (std::holds_alternative<network::Convolution>(network_.layers[i])) {
        step.weight_scale = kTrunkScale / scale * modulus;
        convolution(i, step);
      } else if (std::holds_alternative<network::Square>(network_.layers[i])) {
        step.weight_scale = scale;
        square(i, step);
      } else {
        step.weight_scale = kLinearScale;
        linear(step);
      }
      scale = scale * step.weight_scale / modulus;
      plan_.steps.push_back(std::move(step));
    }
    plan_.result_scale = scale;
    if (plan_.bytes() > kMaxPlanBytes)
      return make_error(ErrorCode::invalid_argument,
                        "network {} would take {} MiB of memory encrypted; {} are allowed",
                        network_.name, plan_.bytes() >> 20, kMaxPlanBytes >> 20);
    plan_.digest = digest();
    return {};
  }

 private:
  void choose_baby_count() {
    const size_t limbs = plan_.ring.limbs();
    const double baby = seconds(cost_.rotate_extended(limbs), kReferencePasses);
    const double giant = seconds(cost_.rotate_extended_again(limbs), kReferencePasses);
    double least = 0;
    for (size_t count = 1; count <= 4 * plan_.layout.channels; count *= 2) {
      const ConvolutionSteps steps = convolution_steps(plan_.layout, count);
      const double total = baby * static_cast<double>(steps.babies.size()) +
                           giant * static_cast<double>(steps.giants.size());
      if (plan_.baby_count != 0 && total >= least) continue;
      least = total;
      plan_.baby_count = count;
    }
  }

  void convolution(size_t layer, Step& step) {
    const ConvolutionSteps steps = convolution_steps(plan_.layout, plan_.baby_count);
    const size_t limbs = step.limbs, terms = steps.babies.size(), outputs = steps.giants.size();
    step.name = fmt::format("convolution {}", layer / 2 + 1);
    step.work = cost_.hoist(limbs) + rotations(steps.babies, limbs, cost_.rotate_extended(limbs)) +
                cost_.periodic_sums(limbs, terms, outputs) +
                rotations(steps.giants, limbs, cost_.rotate_extended_again(limbs)) +
                cost_.reduce(limbs) + cost_.rescale(limbs);
    plan_.rotations += outputs;
    plan_.rotations_hoisted += terms;
    plan_.plain_products += terms * outputs;
    // A period of factors, twice (ckks/periodic_factors.h), modulo every modulus in use.
    plan_.weight_bytes += terms * outputs * plan_.layout.period() * 2 * sizeof(uint32_t) *
                          cost_.extended_limbs(limbs);
    plan_.working_bytes =
        std::max(plan_.working_bytes, (outputs + 4) * cost_.extended_bytes(limbs));
  }

  void square(size_t layer, Step& step) {
    step.name = fmt::format("square {}", layer / 2 + 1);
    step.work = cost_.square(step.limbs) + cost_.rescale(step.limbs);
    plan_.keys.insert(key(ckks::KeyUse::kRelinearization, step.limbs));
    plan_.weight_bytes += step.limbs * plan_.ring.parameters().degree() * sizeof(uint32_t);
  }

  void linear(Step& step) {
    const LinearSteps steps = linear_steps(plan_.layout, plan_.gallery.width());
    const size_t limbs = step.limbs;
    std::vector<int64_t> babies, giants;
    for (size_t i = 0; i < steps.baby_count; ++i) babies.push_back(static_cast<int64_t>(i));
    for (size_t i = 0; i < steps.giant_count; ++i)
      giants.push_back(static_cast<int64_t>(i * steps.baby_count));
    step.name = "pooling and linear";
    step.work = cost_.hoist(limbs) + rotations(babies, limbs, cost_.rotate_extended(limbs)) +
                cost_.full_sums(limbs, babies.size(), giants.size()) +
                rotations(giants, limbs, cost_.rotate_extended_again(limbs)) + cost_.reduce(limbs) +
                rotations(steps.sums, limbs, cost_.rotate(limbs)) + cost_.rescale(limbs);
    plan_.keys.insert(key(ckks::conjugation_element(plan_.ring.parameters().degree()), limbs));
    plan_.rotations += giants.size() + steps.sums.size();
    plan_.rotations_hoisted += babies.size();
    plan_.plain_products += babies.size() * giants.size();
    plan_.weight_bytes += babies.size() * giants.size() * cost_.extended_bytes(limbs) / 2;
  }

  // Notes the keys of the steps; the work of those that are not zero.
  Work rotations(const std::vector<int64_t>& steps, size_t limbs, const Work& each) {
    Work work;
    for (const int64_t step : steps) {
      if (step == 0) continue;
      plan_.keys.insert(key(ckks::rotation_element(step, plan_.ring.parameters().degree()), limbs));
      work += each;
    }
    return work;
  }

  // With the limbs of the stage that serves it.
  ckks::KeyUse key(uint32_t element, size_t limbs) const {
    return {element, limbs <= kLinearLimbs ? plan_.ring.stages().back().limbs : plan_.ring.limbs()};
  }

  Digest digest() const {
    ByteWriter writer;
    writer.raw(as_bytes("bauta network plan 1"));
    writer.raw(plan_.ring.parameters().digest());
    writer.raw(plan_.gallery.digest());
    for (const size_t number :
         {plan_.layout.side, plan_.layout.channels, plan_.layout.patches, plan_.baby_count})
      writer.u64(number);
    writer.f64(plan_.input_scale);
    for (const Step& step : plan_.steps) {
      writer.text(step.name);
      writer.f64(step.scale);
    }
    return sha256(writer.bytes());
  }

  const network::Network& network_;
  Plan& plan_;
  CostModel cost_;
};

Result<Plan> plan_in(const ImageRing& ring, const network::Network& network) {
  BAUTA_TRY(const Layout layout, make_layout(network, ring.parameters().degree() / 2));
  BAUTA_TRY(const match::Parameters gallery, match::Parameters::create(network.dimension()));
  if (layout.extent() < gallery.width() / 2)
    return make_error(ErrorCode::invalid_argument,
                      "network {} has maps of {} values, too few for an embedding of {}",
                      network.name, layout.extent(), network.dimension());
  Plan plan{.ring = ring, .layout = layout, .gallery = gallery, .input_scale = kInputScale};
  BAUTA_CHECK(Planner(network, plan).run());
  return plan;
}

}  // namespace

size_t Plan::key_bytes() const {
  size_t bytes = 0;
  for (const ckks::KeyUse& key : keys) bytes += CostModel(ring).key_bytes(key.limbs);
  return bytes;
}

size_t Plan::bytes() const {
  return key_bytes() + weight_bytes + working_bytes + ring::kMaxKeptBytes;
}

size_t Plan::key_wire_bytes() const {
  size_t bytes = 0;
  for (const ckks::KeyUse& key : keys) bytes += CostModel(ring).key_wire_bytes(key.limbs);
  return bytes;
}

Work Plan::work() const {
  Work work;
  for (const Step& step : steps) work += step.work;
  return work;
}

Result<Plan> make_plan(const network::Network& network) {
  BAUTA_TRY(const ImageRing ring, ImageRing::create(network.depth() + 1));
  return plan_in(ring, network);
}

Result<Plan> insecure_make_plan(const network::Network& network, size_t degree) {
  BAUTA_TRY(const ImageRing ring, ImageRing::insecure_create(network.depth() + 1, degree));
  return plan_in(ring, network);
}

}  // namespace bauta::circuits
