// Keys, ciphertexts and what travels between the parties (docs/formats/objects.md).
#include <algorithm>

#include "circuits/image_ciphertext.h"
#include "circuits/test_network.h"
#include "ckks/envelope.h"
#include "ckks/keys.h"
#include "ckks/ring_switch.h"
#include "ckks/test_parameters.h"
#include "fuzz/parsers.h"
#include "match/admission.h"
#include "match/score_request.h"
#include "match/template_ciphertext.h"

namespace bauta::fuzz {
namespace {

using ckks::ObjectType;
using Form = ring::Form;

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

// The same header and payload with a correct size and checksum; bytes shorter than a header as they
// are.
Bytes resealed(Bytes object) {
  if (object.size() < ckks::kEnvelopeHeaderBytes) return object;
  ckks::EnvelopeHeader header{.type = static_cast<ObjectType>(object[8] | object[9] << 8),
                              .version = static_cast<uint16_t>(object[10] | object[11] << 8),
                              .parameters = {},
                              .key_id = {}};
  std::copy_n(object.begin() + 24, 32, header.parameters.begin());
  std::copy_n(object.begin() + 56, 16, header.key_id.bytes.begin());
  return seal_envelope(header, ByteView(object).subspan(ckks::kEnvelopeHeaderBytes));
}

// An object by its parser and its serialiser.
template <typename Parse, typename Serialize>
Parser parser(std::string name, Parse parse, Serialize serialize, Bytes valid) {
  return {std::move(name), std::move(valid),
          [=](ByteView bytes) -> std::optional<Bytes> {
            const auto parsed = parse(bytes);
            if (!parsed.ok()) return std::nullopt;
            return serialize(*parsed);
          },
          resealed};
}

void add_scheme_objects(std::vector<Parser>& parsers) {
  static const ckks::Parameters ring = ckks::insecure_parameters(1024, 2, 1);
  static const ckks::KeySwitchShape shape = ckks::top_shape(ring, 1);
  const auto add = [&](const char* name, auto parse, const auto& object) {
    const auto to_bytes = [](const auto& parsed) { return serialize(ring, parsed); };
    parsers.push_back(parser(name, parse, to_bytes, to_bytes(object)));
  };
  const ring::Basis basis = ring.ciphertext_moduli();
  const auto c = [&](uint64_t index) { return polynomial<Form::coefficient>(basis, index); };
  add(
      "ciphertext", [](ByteView bytes) { return parse_ciphertext(ring, bytes); },
      ckks::CoefficientCiphertext{c(0), c(1), 1, {}});
  add(
      "seeded-ciphertext", [](ByteView bytes) { return parse_seeded_ciphertext(ring, bytes); },
      ckks::SeededCiphertext{c(0), {}, 1, {}});
  add(
      "switching-key", [](ByteView bytes) { return parse_switching_key(ring, shape, bytes); },
      switching_key(ring, shape));
  add(
      "galois-key", [](ByteView bytes) { return parse_galois_key(ring, shape, bytes); },
      ckks::GaloisKey{5, switching_key(ring, shape)});
  add(
      "relinearization-key",
      [](ByteView bytes) { return parse_relinearization_key(ring, shape, bytes); },
      ckks::RelinearizationKey{switching_key(ring, shape)});
  add(
      "public-key", [](ByteView bytes) { return parse_public_key(ring, bytes); },
      ckks::PublicKey{{}, {}, polynomial<Form::evaluation>(ring.all_moduli(), 0), {}});
  parsers.push_back(parser(
      "parameters", ckks::Parameters::parse,
      [](const ckks::Parameters& parameters) { return parameters.serialize(); },
      ckks::Parameters::create(ckks::gallery_literal())->serialize()));

  static const auto ring_switch = *ckks::RingSwitchParameters::create(
      ckks::insecure_parameters(2048, 3, 1), ring, {8257537, 7340033});
  const auto serialize_ring_switch = [](const ckks::RingSwitchKey& key) {
    return serialize(ring_switch, key);
  };
  parsers.push_back(parser(
      "ring-switch-key", [](ByteView bytes) { return parse_ring_switch_key(ring_switch, bytes); },
      serialize_ring_switch,
      serialize_ring_switch({switching_key(ring_switch.switching(), ring_switch.shape())})));
}

void add_gallery_objects(std::vector<Parser>& parsers) {
  static const match::Parameters gallery = *match::Parameters::create(64);
  const ring::Basis basis = gallery.ring().ciphertext_moduli();
  const auto c = [&](uint64_t index, size_t limbs) {
    return polynomial<Form::coefficient>(basis.prefix(limbs), index);
  };
  const auto add = [&](const char* name, auto parse, auto serialize, const auto& object) {
    parsers.push_back(parser(
        name, [=](ByteView bytes) { return parse(gallery, bytes); },
        [=](const auto& parsed) { return serialize(gallery, parsed); },
        serialize(gallery, object)));
  };
  add("probe", match::parse_probe, match::serialize_probe,
      ckks::SeededCiphertext{c(0, 2), {}, gallery.probe_scale(), {}});
  add("reference", match::parse_reference, match::serialize_reference,
      ckks::SeededCiphertext{c(0, 2), {}, gallery.reference_scale(), {}});
  add("stored-reference", match::parse_stored_reference, match::serialize_stored_reference,
      match::StoredReference{{c(0, 2), c(1, 2), gallery.reference_scale(), {}}});
  match::ScoreRequest request;
  match::ScoreBlock block{{c(0, 1), c(1, 1), 1, {}}, {}};
  match::set_live(block.live, 7);
  request.blocks.push_back(std::move(block));
  const auto pair = [&](uint64_t index, size_t limbs) {
    return ckks::CoefficientCiphertext{
        c(index, limbs), c(index + 1, limbs), gallery.probe_scale(), {}};
  };
  match::Admission admission{match::TemplateKind::probe, pair(0, 2), {}, pair(4, 1)};
  for (size_t i = 0; i < match::projection_ciphertexts(gallery); ++i)
    admission.projections.push_back(pair(2, 1));
  add("admission", match::parse_admission, match::serialize_admission, admission);
  add("score-request", match::parse_score_request, match::serialize_score_request, request);
}

void add_image(std::vector<Parser>& parsers) {
  static const circuits::Plan plan =
      circuits::insecure_make_plan(circuits::random_network({}), 8192).value();
  const ring::Basis basis = plan.ring.parameters().ciphertext_moduli().prefix(plan.ring.limbs());
  parsers.push_back(parser(
      "image-ciphertext", [](ByteView bytes) { return circuits::parse_image(plan, bytes); },
      [](const ckks::SeededCiphertext& image) { return circuits::serialize_image(plan, image); },
      circuits::serialize_image(
          plan, {polynomial<Form::coefficient>(basis, 0), {}, plan.input_scale, {}})));
}

}  // namespace

std::vector<Parser> encrypted_object_parsers() {
  std::vector<Parser> parsers;
  add_scheme_objects(parsers);
  add_gallery_objects(parsers);
  add_image(parsers);
  return parsers;
}

}  // namespace bauta::fuzz
