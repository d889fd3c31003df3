#include "circuits/plan.h"

#include <algorithm>
#include <optional>

#include "circuits/diagonals.h"
#include "ring/word_storage.h"

namespace bauta::circuits {
namespace {

constexpr double kInputScale = 0x1p30;
// Above the levels' primes, so that the rounding of a rescale is a smaller part of a slot; not far
// above, because the weights lose what the trunk gains.
constexpr double kTrunkScale = 0x1p31;

// Leaves room for the sums of the last layer.
constexpr double kLinearScale = 0x1p26;

// What a pass costs in the choice of the steps, which must not depend on the machine.
constexpr PassTimes kReferencePasses = {
    .transform = 43, .key_product = 8, .conversion_product = 5, .factor_product = 2.5, .move = 6};

// A rotation of a modulus is used again and again, so not too many should want the cache at once.
constexpr size_t kMaxTurns = 64;

class Planner {
 public:
  Planner(const network::Network& network, Plan& plan)
      : network_(network), plan_(plan), cost_(plan.ring) {}

  Status run() {
    size_t limbs = plan_.ring.limbs();
    double scale = plan_.input_scale;
    for (size_t i = 0; i < network_.layers.size(); ++i, --limbs) {
      Step step{.limbs = limbs, .scale = scale};
      const double modulus = plan_.ring.parameters().all_moduli().modulus(limbs - 1).value();
      if (const auto* layer = std::get_if<network::Convolution>(&network_.layers[i])) {
        step.weight_scale = kTrunkScale / scale * modulus;
        convolution(i, *layer, step);
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
  // The steps that take least time, for all layers with the keys of a stage alike.
  ConvolutionSteps choose_steps(const network::Convolution& layer, const Layout& input,
                                const Layout& output, size_t limbs) const {
    const size_t stage = plan_.ring.stage(limbs).limbs;
    const double baby = seconds(cost_.rotate_extended(stage), kReferencePasses);
    const double giant = seconds(cost_.rotate_extended_again(stage), kReferencePasses);
    std::optional<ConvolutionSteps> best;
    double least = 0;
    for (size_t count = 1; count <= 4 * input.channels; count *= 2) {
      ConvolutionSteps steps = convolution_steps(layer, input, output, count);
      if (best && plan_.ciphertexts() > 1 && steps.turns.size() > kMaxTurns) break;
      const double total = baby * static_cast<double>(steps.turns.size()) +
                           giant * static_cast<double>(steps.giants.size() * output.lead());
      if (best && total >= least) continue;
      least = total;
      best = std::move(steps);
    }
    return std::move(*best);
  }

  void convolution(size_t index, const network::Convolution& layer, Step& step) {
    const Layout& input = plan_.layouts[index];
    const Layout& output = plan_.layouts[index + 1];
    const size_t limbs = step.limbs;
    const ConvolutionSteps steps = choose_steps(layer, input, output, limbs);
    step.baby_count = steps.baby_count;
    step.name = fmt::format("convolution {}", index / 2 + 1);
    const auto strands = static_cast<double>(output.lead());
    const size_t terms = steps.terms[0].size(), outputs = steps.giants.size();
    std::vector<int64_t> turns;
    for (const ckks::Turn& turn : steps.turns) turns.push_back(turn.steps);
    Work work = static_cast<double>(input.lead()) * cost_.hoist(limbs) +
                rotations(turns, limbs, cost_.rotate_extended(limbs)) +
                strands * (cost_.periodic_sums(limbs, terms, outputs) +
                           rotations(steps.giants, limbs, cost_.rotate_extended_again(limbs)) +
                           cost_.reduce(limbs) + cost_.rescale(limbs));
    size_t products = terms * outputs, sums = outputs;
    if (layer.opens_block() && layer.projects()) {
      const std::vector<int64_t> giants(
          steps.giants.begin() + static_cast<ptrdiff_t>(steps.shortcut_giant),
          steps.giants.begin() +
              static_cast<ptrdiff_t>(steps.shortcut_giant + steps.shortcut_giants));
      work += strands * (cost_.periodic_sums(limbs, steps.baby_count, giants.size()) +
                         rotations(giants, limbs, cost_.rotate_extended_again(limbs)) +
                         cost_.reduce(limbs) + cost_.rescale(limbs));
      products += steps.baby_count * giants.size();
      sums += giants.size();
    } else if (layer.opens_block()) {
      work += strands * (cost_.rescale(limbs) + Work{.moves = 4 * static_cast<double>(limbs)});
      plan_.weight_bytes += plan_.groups * polynomial_bytes(limbs);
    }
    step.work = static_cast<double>(plan_.groups) * work;
    plan_.rotations += plan_.groups * output.lead() * sums;
    plan_.rotations_hoisted += plan_.groups * turns.size();
    plan_.plain_products += plan_.groups * output.lead() * products;
    // A period of factors, twice (ckks/periodic_factors.h), modulo every modulus in use.
    plan_.weight_bytes += plan_.groups * products * output.period() * 2 * sizeof(uint32_t) *
                          cost_.extended_limbs(limbs);
    // The sums, decompositions, and the ciphertexts themselves with those put aside.
    const size_t digits = plan_.ring.stage(limbs).at(limbs).digits();
    plan_.working_bytes =
        std::max(plan_.working_bytes,
                 (output.lead() * sums + input.lead() * (digits + 1) / 2 + 2 * input.lead() + 2) *
                     cost_.extended_bytes(limbs));
  }

  void square(size_t index, Step& step) {
    const size_t strands = plan_.layouts[index].lead(), all = strands * plan_.groups;
    step.name = fmt::format("square {}", index / 2 + 1);
    step.work = static_cast<double>(all) * (cost_.square(step.limbs) + cost_.rescale(step.limbs));
    plan_.keys.insert(key(ckks::KeyUse::kRelinearization, step.limbs));
    plan_.weight_bytes += all * polynomial_bytes(step.limbs);
  }

  void linear(Step& step) {
    const LinearSteps steps = linear_steps(plan_.layouts.back(), plan_.gallery.width());
    const size_t limbs = step.limbs;
    const auto groups = static_cast<double>(plan_.groups);
    const std::vector<int64_t>& giants = steps.giants;
    std::vector<int64_t> babies;
    for (size_t i = 0; i < steps.baby_count; ++i) babies.push_back(static_cast<int64_t>(i));
    step.name = "pooling and linear";
    step.work =
        groups * (cost_.hoist(limbs) + rotations(babies, limbs, cost_.rotate_extended(limbs)) +
                  cost_.full_sums(limbs, babies.size(), giants.size())) +
        rotations(giants, limbs, cost_.rotate_extended_again(limbs)) + cost_.reduce(limbs) +
        rotations(steps.sums, limbs, cost_.rotate(limbs)) + cost_.rescale(limbs);
    plan_.keys.insert(key(ckks::conjugation_element(plan_.ring.parameters().degree()), limbs));
    plan_.rotations += giants.size() + steps.sums.size();
    plan_.rotations_hoisted += plan_.groups * babies.size();
    plan_.plain_products += plan_.groups * babies.size() * giants.size();
    plan_.weight_bytes +=
        plan_.groups * babies.size() * giants.size() * cost_.extended_bytes(limbs) / 2;
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
    return {element, plan_.ring.stage(limbs).limbs};
  }

  size_t polynomial_bytes(size_t limbs) const {
    return limbs * plan_.ring.parameters().degree() * sizeof(uint32_t);
  }

  Digest digest() const {
    ByteWriter writer;
    writer.raw(as_bytes("bauta network plan 2"));
    writer.raw(plan_.ring.parameters().digest());
    writer.raw(plan_.gallery.digest());
    for (const Layout& layout : plan_.layouts)
      for (const size_t number : {layout.rows, layout.side, layout.channels, layout.patches})
        writer.u64(number);
    writer.u64(plan_.groups);
    writer.f64(plan_.input_scale);
    for (const Step& step : plan_.steps) {
      writer.text(step.name);
      writer.f64(step.scale);
      writer.u64(step.baby_count);
    }
    return sha256(writer.bytes());
  }

  const network::Network& network_;
  Plan& plan_;
  CostModel cost_;
};

// One ciphertext's network has few keys, because they travel.
ImageRing with_stages(const ImageRing& ring, const network::Network& network) {
  std::set<size_t> limbs;
  for (size_t i = 0; i < network.layers.size(); ++i)
    if (std::holds_alternative<network::Convolution>(network.layers[i]))
      limbs.insert(ring.limbs() - i);
  return ring.with_stages(limbs);
}

Result<Plan> plan_in(const ImageRing& ring, const network::Network& network) {
  BAUTA_TRY(const auto layouts, make_layouts(network, ring.parameters().degree() / 2));
  BAUTA_TRY(const match::Parameters gallery, match::Parameters::create(network.dimension()));
  if (layouts.back().extent() < gallery.width() / 2)
    return make_error(ErrorCode::invalid_argument,
                      "network {} has maps of {} values, too few for an embedding of {}",
                      network.name, layouts.back().extent(), network.dimension());
  const size_t groups = layouts.front().groups(network.input.patches());
  const bool wide = groups * layouts.front().lead() > 1;
  Plan plan{.ring = wide ? with_stages(ring, network) : ring,
            .layouts = layouts,
            .groups = groups,
            .gallery = gallery,
            .input_scale = kInputScale};
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

Result<Plan> make_wide_plan(const network::Network& network) {
  BAUTA_TRY(const ImageRing ring, ImageRing::create(network.depth() + 1));
  return plan_in(ring, network);
}

Result<Plan> make_plan(const network::Network& network) {
  BAUTA_TRY(Plan plan, make_wide_plan(network));
  if (plan.ciphertexts() > 1)
    return make_error(ErrorCode::invalid_argument,
                      "network {} takes images of {} ciphertexts; image mode has room for one",
                      network.name, plan.ciphertexts());
  return plan;
}

Result<Plan> insecure_make_plan(const network::Network& network, size_t degree) {
  BAUTA_TRY(const ImageRing ring, ImageRing::insecure_create(network.depth() + 1, degree));
  return plan_in(ring, network);
}

}  // namespace bauta::circuits
