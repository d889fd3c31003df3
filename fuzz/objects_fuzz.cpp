// Every parser of serialised objects: on damaged objects, and on damaged ones whose checksum was
// made right again. Whatever parses must serialise to the same bytes.
#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "ckks/envelope.h"
#include "ckks/keys.h"
#include "ckks/ring_switch.h"
#include "ckks/test_parameters.h"
#include "match/score_request.h"
#include "match/template_ciphertext.h"

namespace bauta {
namespace {

using ckks::ObjectType;
using Form = ring::Form;

// The bytes that what was parsed serialises to; nothing if it did not parse.
using Reserialize = std::function<std::optional<Bytes>(ByteView)>;

struct Target {
  Bytes valid;
  Reserialize reserialize;
};

template <Form form>
ring::RnsPolynomial<form> polynomial(const ring::Basis& basis, uint64_t index) {
  return ring::sample_uniform<form>(ring::PublicSeed{}, "fuzz", index, basis);
}

ckks::SwitchingKey switching_key(const ckks::Parameters& parameters,
                                 const ckks::KeySwitchShape& shape) {
  ckks::SwitchingKey key;
  key.shape = shape;
  for (uint64_t d = 0; d < shape.digits(); ++d)
    key.b.push_back(polynomial<Form::evaluation>(shape.basis(parameters), d));
  return key;
}

// An object by its parser and its serialiser.
template <typename Parse, typename Serialize>
Target target(Parse parse, Serialize serialize, Bytes valid) {
  Target made{std::move(valid), [=](ByteView bytes) -> std::optional<Bytes> {
                const auto parsed = parse(bytes);
                if (!parsed.ok()) return std::nullopt;
                return serialize(*parsed);
              }};
  BAUTA_ASSERT(made.reserialize(made.valid) == made.valid);
  return made;
}

void add_scheme_objects(std::vector<Target>& targets) {
  static const ckks::Parameters ring = ckks::insecure_parameters(1024, 2, 1);
  static const ckks::KeySwitchShape shape = ckks::top_shape(ring, 1);
  const auto add = [&](auto parse, const auto& object) {
    const auto to_bytes = [](const auto& parsed) { return serialize(ring, parsed); };
    targets.push_back(target(parse, to_bytes, to_bytes(object)));
  };
  const ring::Basis basis = ring.ciphertext_moduli();
  const auto c = [&](uint64_t index) { return polynomial<Form::coefficient>(basis, index); };
  add([](ByteView bytes) { return parse_ciphertext(ring, bytes); },
      ckks::CoefficientCiphertext{c(0), c(1), 1, {}});
  add([](ByteView bytes) { return parse_seeded_ciphertext(ring, bytes); },
      ckks::SeededCiphertext{c(0), {}, 1, {}});
  add([](ByteView bytes) { return parse_switching_key(ring, shape, bytes); },
      switching_key(ring, shape));
  add([](ByteView bytes) { return parse_galois_key(ring, shape, bytes); },
      ckks::GaloisKey{5, switching_key(ring, shape)});
  add([](ByteView bytes) { return parse_relinearization_key(ring, shape, bytes); },
      ckks::RelinearizationKey{switching_key(ring, shape)});
  add([](ByteView bytes) { return parse_public_key(ring, bytes); },
      ckks::PublicKey{{}, {}, polynomial<Form::evaluation>(ring.all_moduli(), 0), {}});
  targets.push_back(target(
      ckks::Parameters::parse,
      [](const ckks::Parameters& parameters) { return parameters.serialize(); },
      ckks::Parameters::create(ckks::gallery_literal())->serialize()));

  static const auto ring_switch = *ckks::RingSwitchParameters::create(
      ckks::insecure_parameters(2048, 3, 1), ring, {8257537, 7340033});
  const auto serialize_ring_switch = [](const ckks::RingSwitchKey& key) {
    return serialize(ring_switch, key);
  };
  targets.push_back(
      target([](ByteView bytes) { return parse_ring_switch_key(ring_switch, bytes); },
             serialize_ring_switch,
             serialize_ring_switch({switching_key(ring_switch.switching(), ring_switch.shape())})));
}

void add_gallery_objects(std::vector<Target>& targets) {
  static const match::Parameters gallery = *match::Parameters::create(64);
  const ring::Basis basis = gallery.ring().ciphertext_moduli();
  const auto c = [&](uint64_t index, size_t limbs) {
    return polynomial<Form::coefficient>(basis.prefix(limbs), index);
  };
  const auto add = [&](auto parse, auto serialize, const auto& object) {
    targets.push_back(target([=](ByteView bytes) { return parse(gallery, bytes); },
                             [=](const auto& parsed) { return serialize(gallery, parsed); },
                             serialize(gallery, object)));
  };
  add(match::parse_probe, match::serialize_probe,
      ckks::SeededCiphertext{c(0, 2), {}, gallery.probe_scale(), {}});
  add(match::parse_reference, match::serialize_reference,
      ckks::SeededCiphertext{c(0, 2), {}, gallery.reference_scale(), {}});
  add(match::parse_stored_reference, match::serialize_stored_reference,
      match::StoredReference{{c(0, 2), c(1, 2), gallery.reference_scale(), {}}});
  match::ScoreRequest request;
  match::ScoreBlock block{{c(0, 1), c(1, 1), 1, {}}, {}};
  match::set_live(block.live, 7);
  request.blocks.push_back(std::move(block));
  add(match::parse_score_request, match::serialize_score_request, request);
}

const std::vector<Target>& targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> made;
    add_scheme_objects(made);
    add_gallery_objects(made);
    return made;
  }();
  return all;
}

// The same header and payload with a correct size and checksum; bytes shorter than a header as they
// are.
Bytes resealed(const Bytes& object) {
  if (object.size() < ckks::kEnvelopeHeaderBytes) return object;
  ckks::EnvelopeHeader header{.type = static_cast<ObjectType>(object[8] | object[9] << 8),
                              .version = static_cast<uint16_t>(object[10] | object[11] << 8),
                              .parameters = {},
                              .key_id = {}};
  std::copy_n(object.begin() + 24, 32, header.parameters.begin());
  std::copy_n(object.begin() + 56, 16, header.key_id.bytes.begin());
  return seal_envelope(header, ByteView(object).subspan(ckks::kEnvelopeHeaderBytes));
}

// Takes instructions from the input: cut off, append, or overwrite bytes, most often near the
// front, where the lengths are.
Bytes damaged(const Bytes& valid, ByteView input) {
  Bytes object = valid;
  for (; input.size() >= 4; input = input.subspan(4)) {
    const size_t place = input[1] | size_t{input[2]} << 8;
    if (object.empty() || input[0] == 0)
      object.resize(place % (valid.size() + 1));
    else if (input[0] == 1)
      object.push_back(input[3]);
    else
      object[(input[0] % 2 == 0 ? place % 160 : place * 7) % object.size()] = input[3];
  }
  return object;
}

void check(const Target& target, const Bytes& object) {
  const std::optional<Bytes> again = target.reserialize(object);
  BAUTA_ASSERT(!again || *again == object);
}

}  // namespace
}  // namespace bauta

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size_bytes) {
  using namespace bauta;
  if (size_bytes < 1) return 0;
  const Target& target = targets()[input[0] % targets().size()];
  const ByteView instructions(input + 1, size_bytes - 1);
  const Bytes object = damaged(target.valid, instructions);
  check(target, object);
  check(target, resealed(object));
  check(target, Bytes(instructions.begin(), instructions.end()));
  return 0;
}
