// The objects of this library on the wire and on disk, and the keys that admit them.
#include "ckks/parser_checks.h"
#include "match/admission.h"
#include "match/test_tenant.h"

namespace bauta::match {
namespace {

using testing::HasSubstr;

constexpr size_t kDimension = 64;

const TestTenant& tenant() {
  static const TestTenant one(kDimension, 3);
  return one;
}
const Parameters& parameters() {
  return tenant().parameters;
}

ScoreRequest some_request(size_t blocks) {
  ScoreRequest request{.key_id = ckks::KeyId{{5}}, .blocks = {}};
  for (size_t b = 0; b < blocks; ++b) {
    ScoreBlock block;
    const ring::Basis basis = parameters().ring().ciphertext_moduli().prefix(1);
    block.ciphertext = {
        ring::sample_uniform<ring::Form::coefficient>(ring::PublicSeed{1}, "test", b, basis),
        ring::sample_uniform<ring::Form::coefficient>(ring::PublicSeed{2}, "test", b, basis),
        parameters().score_scale(), request.key_id};
    set_live(block.live, 17 * b);
    request.blocks.push_back(std::move(block));
  }
  return request;
}

TEST(Probe, SerialisesAndParses) {
  const Bytes bytes = tenant().probe_bytes(People(kDimension).next());
  EXPECT_EQ(bytes.size(), 30866u);
  const auto parsed = parse_probe(parameters(), bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->key_id, tenant().edge.id());
  ckks::expect_parser_refuses_damage(
      bytes, [](ByteView damaged) { return parse_probe(parameters(), damaged); });
}

TEST(Reference, SerialisesAndParses) {
  const Bytes bytes = tenant().reference_bytes(People(kDimension).next());
  ASSERT_TRUE(parse_reference(parameters(), bytes).ok());
  ckks::expect_parser_refuses_damage(
      bytes, [](ByteView damaged) { return parse_reference(parameters(), damaged); });
}

TEST(Reference, IsNotTakenForAProbe) {
  People people(kDimension);
  const auto probe = parse_probe(parameters(), tenant().reference_bytes(people.next()));
  ASSERT_FALSE(probe.ok());
  EXPECT_EQ(probe.error().code, ErrorCode::mismatch);
  EXPECT_THAT(probe.error().message, HasSubstr("this is a reference"));
  EXPECT_FALSE(parse_reference(parameters(), tenant().probe_bytes(people.next())).ok());
}

TEST(Reference, ParseFailsIfOfAnotherDimension) {
  const Parameters other = *Parameters::create(63);
  const auto parsed = parse_reference(other, tenant().reference_bytes(People(kDimension).next()));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::mismatch);
  EXPECT_THAT(parsed.error().message, HasSubstr("other parameters"));
}

TEST(Reference, ParseFailsIfTheScaleIsAnother) {
  const Bytes bytes = tenant().reference_bytes(People(kDimension).next());
  Bytes payload(bytes.begin() + ckks::kEnvelopeHeaderBytes, bytes.end());
  ByteWriter writer;
  writer.f64(2 * parameters().reference_scale());
  std::ranges::copy(writer.bytes(), payload.begin() + 2);
  const auto parsed = parse_reference(parameters(), ckks::with_payload(bytes, payload));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::mismatch);
}

TEST(StoredReference, SerialisesAndParses) {
  const StoredReference reference = tenant().reference(People(kDimension).next());
  const Bytes bytes = serialize_stored_reference(parameters(), reference);
  EXPECT_EQ(bytes.size(), 61554u);
  const auto parsed = parse_stored_reference(parameters(), bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->ciphertext.key_id, tenant().tenant.id());
  EXPECT_TRUE(parsed->ciphertext.c0 == reference.ciphertext.c0);
  EXPECT_TRUE(parsed->ciphertext.c1 == reference.ciphertext.c1);
  ckks::expect_parser_refuses_damage(
      bytes, [](ByteView damaged) { return parse_stored_reference(parameters(), damaged); });
}

TEST(ScoreRequest, SerialisesAndParses) {
  const ScoreRequest request = some_request(3);
  const Bytes bytes = serialize_score_request(parameters(), request);
  EXPECT_EQ(bytes.size(), 104u + 4 + 3 * (512 + 2 * 15360));
  const auto parsed = parse_score_request(parameters(), bytes);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->blocks.size(), 3u);
  EXPECT_EQ(parsed->key_id, request.key_id);
  for (size_t b = 0; b < 3; ++b) {
    EXPECT_EQ(parsed->blocks[b].live, request.blocks[b].live);
    EXPECT_TRUE(parsed->blocks[b].ciphertext.c0 == request.blocks[b].ciphertext.c0);
    EXPECT_TRUE(parsed->blocks[b].ciphertext.c1 == request.blocks[b].ciphertext.c1);
  }
  ckks::expect_parser_refuses_damage(
      bytes, [](ByteView damaged) { return parse_score_request(parameters(), damaged); });
}

TEST(ScoreRequest, ParseFailsIfTheBlockCountIsImpossible) {
  const Bytes bytes = serialize_score_request(parameters(), some_request(1));
  const Bytes payload(bytes.begin() + ckks::kEnvelopeHeaderBytes, bytes.end());
  for (const uint32_t count : {0u, 2u, 1025u, 0xffffffffu}) {
    ByteWriter writer;
    writer.u32(count);
    Bytes changed = payload;
    std::ranges::copy(writer.bytes(), changed.begin());
    EXPECT_FALSE(parse_score_request(parameters(), ckks::with_payload(bytes, changed)).ok())
        << count;
  }
}

TEST(ScoreRequest, ParseFailsIfNothingIsLive) {
  ScoreRequest request = some_request(2);
  for (ScoreBlock& block : request.blocks) block.live = {};
  const auto parsed =
      parse_score_request(parameters(), serialize_score_request(parameters(), request));
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(parsed.error().message, HasSubstr("live position"));
}

// docs/formats/objects.md
TEST(GalleryObjects, KnownAnswers) {
  const Parameters gallery = must(Parameters::create(128));
  const ckks::KeyId key_id{{5}};
  const auto uniform = [&](uint64_t index, size_t limbs) {
    return ring::sample_uniform<ring::Form::coefficient>(
        ring::PublicSeed{}, "vector", index, gallery.ring().ciphertext_moduli().prefix(limbs));
  };
  const auto digest = [](const Bytes& bytes) { return to_hex(sha256(bytes)); };
  EXPECT_EQ(digest(serialize_probe(gallery, {uniform(0, 2), {}, gallery.probe_scale(), key_id})),
            "8932f7133dc445ba53c616db5232a933b02cd74e946385416c7072a8a64c7557");
  const double scale = gallery.reference_scale();
  EXPECT_EQ(digest(serialize_reference(gallery, {uniform(0, 2), {}, scale, key_id})),
            "3d499ce7ce991fc390c325338bf4c6e50f75c125dff9fda7a54f2ec24b0d932d");
  EXPECT_EQ(digest(serialize_stored_reference(
                gallery, StoredReference{{uniform(0, 2), uniform(1, 2), scale, key_id}})),
            "f25498d4dfa2ab735035e69fc8eee8d08dd4d1718f12b76ad24d944d5f717886");
  const auto pair = [&](size_t limbs) {
    return ckks::CoefficientCiphertext{uniform(0, limbs), uniform(1, limbs), gallery.probe_scale(),
                                       key_id};
  };
  Admission admission{TemplateKind::probe, pair(2), {}, pair(1)};
  admission.projections.push_back(pair(1));
  EXPECT_EQ(digest(serialize_admission(gallery, admission)),
            "a418cb08416513f96870cb7525b479ad6f5fcd64166e13ed06bd29035db5d844");
  ScoreRequest request{.key_id = key_id, .blocks = {}};
  ScoreBlock block{{uniform(0, 1), uniform(1, 1), gallery.score_scale(), key_id}, {}};
  set_live(block.live, 7);
  request.blocks.push_back(std::move(block));
  EXPECT_EQ(digest(serialize_score_request(gallery, request)),
            "7eeedd7815773e22379306ecfb7d52fcb66a1f4b236966c1ef933cc4093f75e3");
}

TEST(ScoreMap, FailsForWhatWasNotAsked) {
  LivePositions live{};
  set_live(live, 10);
  const ScoreMap map({{.first_slot = 4096, .rotation = 8191, .live = live}});
  EXPECT_EQ(*map.slot({0, 10}), 4096u + 11);
  EXPECT_FALSE(map.slot({0, 11}).ok());
  EXPECT_FALSE(map.slot({0, 4096}).ok());
  EXPECT_FALSE(map.slot({1, 10}).ok());
}

TEST(EvaluationKeys, RefusesAnEdgeThatIsNotAdmitted) {
  const TestTenant other(kDimension, 4);
  const auto probe = tenant().keys->admit_probe(other.probe_bytes(People(kDimension).next()));
  ASSERT_FALSE(probe.ok());
  EXPECT_EQ(probe.error().code, ErrorCode::refused);
  EXPECT_THAT(probe.error().message, HasSubstr(to_hex(other.edge.id())));
}

TEST(EvaluationKeys, RefusesARevokedEdge) {
  const auto keys = must(
      EvaluationKeys::open(parameters(), tenant().galois_key_file, tenant().relinearization_key));
  must(keys->add_edge(tenant().edge_switching_key));
  const Bytes reference = tenant().reference_bytes(People(kDimension).next());
  EXPECT_TRUE(keys->admit_reference(reference).ok());
  must(keys->revoke_edge(tenant().edge.id()));
  const auto refused = keys->admit_reference(reference);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::refused);
  EXPECT_EQ(keys->revoke_edge(tenant().edge.id()).error().code, ErrorCode::not_found);
}

TEST(EvaluationKeys, RefusesKeysOfAnotherTenant) {
  const TestTenant other(kDimension, 5);
  const auto keys =
      must(EvaluationKeys::open(parameters(), other.galois_key_file, tenant().relinearization_key));
  const Status edge = keys->add_edge(other.edge_switching_key);
  ASSERT_FALSE(edge.ok());
  EXPECT_EQ(edge.error().code, ErrorCode::mismatch);
  const auto galois_keys = keys->galois_keys(4);
  ASSERT_FALSE(galois_keys.ok());
  EXPECT_EQ(galois_keys.error().code, ErrorCode::mismatch);
}

TEST(EvaluationKeys, OpenFailsIfTheKeyFileIsAbsentOrCut) {
  const auto open = [](const std::filesystem::path& path) {
    return EvaluationKeys::open(parameters(), path, tenant().relinearization_key);
  };
  EXPECT_EQ(open("/nonexistent").error().code, ErrorCode::not_found);
  const std::filesystem::path cut = tenant().galois_key_file.string() + ".cut";
  std::filesystem::copy_file(tenant().galois_key_file, cut);
  std::filesystem::resize_file(cut, std::filesystem::file_size(cut) - 1);
  EXPECT_EQ(open(cut).error().code, ErrorCode::corrupt);
  std::filesystem::remove(cut);
}

TEST(EvaluationKeys, FailsIfAKeyInTheFileIsDamaged) {
  const std::filesystem::path damaged = tenant().galois_key_file.string() + ".damaged";
  std::filesystem::copy_file(tenant().galois_key_file, damaged);
  const size_t key_bytes = ckks::galois_key_bytes(parameters().ring(), key_shape(parameters()));
  std::fstream file(damaged, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(4 * key_bytes + 5000));
  file.put('\x55').put('\x55');
  file.close();
  const auto keys = must(EvaluationKeys::open(parameters(), damaged, tenant().relinearization_key));
  EXPECT_TRUE(keys->galois_keys(4).ok());  // reads the first three only
  const auto galois_keys = keys->galois_keys(8);
  ASSERT_FALSE(galois_keys.ok());
  EXPECT_EQ(galois_keys.error().code, ErrorCode::corrupt);
  std::filesystem::remove(damaged);
}

}  // namespace
}  // namespace bauta::match
