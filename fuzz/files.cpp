// Files that people and other programs hand to the project, and those it keeps itself.
#include <algorithm>
#include <array>
#include <memory>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/npy.h"
#include "face/engine.h"
#include "face/evaluation.h"
#include "face/image.h"
#include "face/verification_set.h"
#include "fuzz/parsers.h"
#include "keys/envelope.h"
#include "keys/key_file.h"
#include "keys/rsa_public_key.h"
#include "keys/signature.h"
#include "keys/wrapped_key.h"
#include "network/evaluation.h"
#include "services/answer.h"
#include "services/contract.h"
#include "services/grants/grant_list.h"
#include "services/key/contracts.h"
#include "services/linkage/consent_ledger.h"
#include "services/linkage/package.h"
#include "services/rest/operations.h"
#include "services/run/config.h"
#include "store/backup.h"

namespace bauta::fuzz {
namespace {

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

// The bytes again, or nothing if they did not parse.
std::optional<Bytes> same_if(bool parsed, ByteView bytes) {
  if (!parsed) return std::nullopt;
  return Bytes(bytes.begin(), bytes.end());
}

// Bytes as a file that exists in memory alone, while the object lives.
class MemoryFile {
 public:
  explicit MemoryFile(ByteView bytes) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    BAUTA_ASSERT(descriptor_ >= 0 && write(descriptor_, bytes.data(), bytes.size()) ==
                                         static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

// A SHA-256 at the end.
Bytes reseal_digest(Bytes file) {
  if (file.size() < sizeof(Digest)) return file;
  const size_t content = file.size() - sizeof(Digest);
  const Digest digest = sha256(ByteView(file).first(content));
  std::ranges::copy(digest, file.begin() + static_cast<ptrdiff_t>(content));
  return file;
}

// What parses must also evaluate.
Parser network(const std::string& name) {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    constexpr size_t kSmall = 100'000;  // bytes: more weights would only take longer
    const auto parsed = network::parse_network(bytes);
    if (parsed.ok() && bytes.size() < kSmall) {
      const Bytes face(3 * network::kFaceSide * network::kFaceSide);
      const std::vector<float> embedding =
          network::evaluate(*parsed, network::input_maps(face, parsed->input));
      BAUTA_ASSERT(embedding.size() == parsed->dimension());
    }
    return same_if(parsed.ok(), bytes);
  };
  return {name, *read_file(BAUTA_FORMAT_VECTORS "/" + name + ".bnet", network::kMaxFileBytes), run,
          reseal_digest};
}

// The weights do not exist, which comes after the description.
Parser engine_description() {
  const auto run = [](ByteView bytes) {
    const auto engine = face::make_onnx_engine(MemoryFile(bytes).path(), "/nonexistent");
    return same_if(engine.error().code == ErrorCode::not_found, bytes);
  };
  return {"engine-description", bytes_of(R"({"format": 1, "engine": "average",
      "model": "a.onnx", "sha256": "00", "input": {"side": 112, "channels": "RGB",
      "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}, "output": "out", "dimension": 128,
      "metric": "cosine", "thresholds": {"verify": 0.4, "identify": 0.6}})"),
          run};
}

Parser pairs() {
  const auto run = [](ByteView bytes) {
    return same_if(face::read_pairs(MemoryFile(bytes).path(), "images").ok(), bytes);
  };
  return {"pairs", bytes_of("2\t1\nA\t1\t2\nA\t1\tB\t2\nC\t3\t4\nC\t3\tD\t4\n"), run};
}

Parser image() {
  const auto run = [](ByteView bytes) {
    const face::ImageLimits limits{.max_bytes = 1 << 16, .max_pixels = 1 << 14, .min_side = 1};
    const auto decoded = face::decode_image(bytes, limits);
    BAUTA_ASSERT(!decoded.ok() || decoded->rgb.size() ==
                                      decoded->row_bytes() * static_cast<size_t>(decoded->height));
    return same_if(decoded.ok(), bytes);
  };
  return {"image", *face::encode_png(face::make_image(8, 4)), run};
}

keys::KeyRecord some_record() {
  keys::KeyRecord record;
  record.tenant = "default";
  record.generation = 1;
  record.created_at_s = record.activated_at_s = 1735689600;
  record.copies = {"copies"};
  return record;
}

// Members may stand in any order, but what was read is written and read again alike.
Parser key_file() {
  const auto run = [](ByteView bytes) {
    const auto file = keys::parse_key_file(bytes, "keys.json");
    if (file.ok()) {
      const std::string text = serialize(*file);
      BAUTA_ASSERT(serialize(*keys::parse_key_file(as_bytes(text), "keys.json")) == text);
    }
    return same_if(file.ok(), bytes);
  };
  const keys::KeyFile file{{some_record()}, {{{}, Bytes(91), 1}}};
  return {"key-file", bytes_of(serialize(file)), run};
}

using SigningKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

const SigningKey& signing_key() {
  static const SigningKey key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  return key;
}

Bytes public_signing_key() {
  uint8_t* der = nullptr;
  const int size_bytes = i2d_PUBKEY(signing_key().get(), &der);
  Bytes bytes(der, der + size_bytes);
  OPENSSL_free(der);
  return bytes;
}

keys::Signature sign(std::string_view purpose, ByteView message) {
  const Digest digest = keys::signed_digest(purpose, message);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new(signing_key().get(), nullptr), EVP_PKEY_CTX_free);
  std::array<uint8_t, 80> der;
  size_t size_bytes = der.size();
  BAUTA_ASSERT(
      EVP_PKEY_sign_init(context.get()) == 1 &&
      EVP_PKEY_sign(context.get(), der.data(), &size_bytes, digest.data(), digest.size()) == 1);
  const uint8_t* cursor = der.data();
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(
      d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(size_bytes)), ECDSA_SIG_free);
  keys::Signature signature;
  BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), signature.data(), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), signature.data() + 32, 32);
  return signature;
}

Parser key_copy() {
  static const Bytes signer = public_signing_key();
  constexpr size_t kSignedBy_bytes = sizeof(keys::KeyId) + sizeof(keys::Signature);
  const auto with_own_signature = [](Bytes content) {
    const keys::Signature signature = sign(keys::kWrappedKeyPurpose, content);
    return keys::with_signature(std::move(content), {{}, signature});
  };
  const auto run = [](ByteView bytes) {
    return same_if(keys::parse_key_copy(bytes, signer, "copy").ok(), bytes);
  };
  const auto reseal = [=](Bytes copy) {
    if (copy.size() < kSignedBy_bytes) return copy;
    const ByteView content = ByteView(copy).first(copy.size() - kSignedBy_bytes);
    // A valid signature stays, so that a valid copy does.
    keys::Signature signature;
    std::copy_n(copy.end() - sizeof signature, sizeof signature, signature.begin());
    if (keys::verify_signature(signer, keys::kWrappedKeyPurpose, content, signature).ok())
      return copy;
    return with_own_signature({content.begin(), content.end()});
  };
  const keys::KeyCopy copy{some_record(), {}, {{}, Bytes(40)}};
  return {"key-copy", with_own_signature(serialize(copy)), run, reseal};
}

Parser rsa_public_key() {
  const auto run = [](ByteView bytes) {
    const auto key = keys::parse_rsa_public_key(bytes);
    BAUTA_ASSERT(!key.ok() || serialize(*key).ok());
    return same_if(key.ok(), bytes);
  };
  const keys::RsaPublicKey key{Bytes(keys::kMinRsaModulus_bits / 8, 0xff), {1, 0, 1}};
  return {"rsa-public-key", *serialize(key), run};
}

// The public key of a signature; the signature itself has no format.
Parser signing_public_key() {
  static const keys::Signature signature = sign("fuzz", {});
  const auto run = [](ByteView bytes) {
    const Status valid = keys::verify_signature(bytes, "fuzz", {}, signature);
    return same_if(valid.ok() || valid.error().code == ErrorCode::corrupt, bytes);
  };
  return {"signing-public-key", public_signing_key(), run};
}

Parser sealed_package() {
  const auto run = [](ByteView bytes) { return same_if(keys::sealed_under(bytes).ok(), bytes); };
  Bytes package = bytes_of("BAUTASEA");
  package.push_back(1);
  package.resize(120);
  return {"sealed-package", package, run};
}

Parser registration_package() {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    const auto parsed = linkage::read_package(bytes);
    if (!parsed.ok()) return std::nullopt;
    std::vector<Bytes> images;
    for (const ByteView& image : parsed->images) images.emplace_back(image.begin(), image.end());
    const auto made = linkage::make_package(parsed->attributes, images);
    return Bytes(made->data(), made->data() + made->size());
  };
  const auto valid = linkage::make_package(R"({"age":30})", std::vector<Bytes>{{1, 2, 3}, {}});
  return {"registration-package", Bytes(valid->data(), valid->data() + valid->size()), run};
}

// Well-formed, though nothing that is made up passes the check of its digest.
Parser consent_receipt() {
  const auto run = [](ByteView bytes) {
    const auto record = linkage::verify_receipt(as_text(bytes), public_signing_key());
    BAUTA_ASSERT(!record.ok());
    return same_if(record.error().code == ErrorCode::corrupt, bytes);
  };
  const std::string digest(64, '0');
  return {"consent-receipt",
          bytes_of(fmt::format(R"({{"record": "{{}}", "previous": "{0}", "digest": "{0}", )"
                               R"("signature": "{1}"}})",
                               digest, std::string(2 * sizeof(keys::Signature), '0'))),
          run};
}

v1::EmbeddingContract some_contract() {
  v1::EmbeddingContract contract;
  contract.set_engine("engine");
  contract.set_model_digest(std::string(32, '\1'));
  contract.set_dimension(128);
  contract.set_norm_tolerance(0.05);
  return contract;
}

// Two spellings: the byte that said whether norms are reported is passed over.
Parser contract() {
  const auto run = [](ByteView bytes) {
    return same_if(parse_contract(as_text(bytes)).ok(), bytes);
  };
  return {"contract", bytes_of(serialize_contract(some_contract())), run};
}

Parser registered_contract() {
  const auto run = [](ByteView bytes) { return same_if(key::parse_registered(bytes).ok(), bytes); };
  key::RegisteredContract registered{"gallery", "tenant", "edge", 3, some_contract(), {}};
  registered.ticket.set_nonce(std::string(16, 'n'));
  registered.ticket.set_issued_at_ms(1);
  registered.ticket.set_signature(std::string(64, 's'));
  return {"registered-contract", key::serialize_registered(registered), run, reseal_digest};
}

Parser outcome() {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    const auto parsed = parse_outcome(as_text(bytes));
    if (!parsed.ok()) return std::nullopt;
    return bytes_of(serialize_outcome(*parsed));
  };
  return {"outcome", bytes_of(serialize_outcome({v1::DECISION_ACCEPTED, {{1, 2}, {3, 4}}, 1, 0.5})),
          run};
}

Parser configuration() {
  const auto run = [](ByteView bytes) {
    const auto config = run::read_config(MemoryFile(bytes).path());
    return same_if(config.ok(), bytes);
  };
  return {"configuration", bytes_of(run::to_toml({})), run};
}

// The body of a request, as the first operation with images takes it.
Parser rest_body() {
  const auto run = [](ByteView bytes) {
    const auto operations = rest::operations();
    const auto takes_images = [](const rest::Operation& operation) {
      return operation.body == rest::BodyKind::subject_images;
    };
    const auto operation = std::ranges::find_if(operations, takes_images);
    return same_if(rest::read_fields(*operation, {}, {std::string(as_text(bytes)), {}}, 4).ok(),
                   bytes);
  };
  return {"rest-body", bytes_of(R"({"subject": "s", "images": ["AAAA", "AAA=", "AA=="]})"), run};
}

void put(Bytes& bytes, size_t offset, uint64_t value, size_t size_bytes) {
  for (size_t i = 0; i < size_bytes; ++i) bytes[offset + i] = static_cast<uint8_t>(value >> 8 * i);
}

// Sizes and checksums that fit; how many bytes are sums is taken from the lowest byte of their
// size.
Bytes resealed_segment(Bytes segment) {
  constexpr size_t kHeaderBytes = 4096, kSizesAt = 72, kSumsSizeAt = 80, kChecksumsAt = 88;
  if (segment.size() < kHeaderBytes) return segment;
  const size_t words_bytes = segment.size() - kHeaderBytes;
  const size_t sums_bytes = std::min<size_t>(segment[kSumsSizeAt], words_bytes);
  const ByteView words = ByteView(segment).subspan(kHeaderBytes);
  const uint32_t images_checksum = crc32c(words.first(words_bytes - sums_bytes));
  const uint32_t sums_checksum = crc32c(words.last(sums_bytes));
  put(segment, kSizesAt, words_bytes - sums_bytes, 8);
  put(segment, kSumsSizeAt, sums_bytes, 8);
  put(segment, kChecksumsAt, images_checksum, 4);
  put(segment, kChecksumsAt + 4, sums_checksum, 4);
  const Digest digest = sha256(ByteView(segment).first(kHeaderBytes - sizeof(Digest)));
  std::ranges::copy(digest, segment.begin() + kHeaderBytes - sizeof(Digest));
  return segment;
}

Parser segment() {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    const auto mapped = store::MappedSegment::open(MemoryFile(bytes).path());
    if (!mapped.ok() || !(*mapped)->verify_sums().ok()) return std::nullopt;
    return make_segment((*mapped)->content(), {(*mapped)->images()}, {(*mapped)->sums()});
  };
  const std::vector<uint32_t> images(64, 5), sums(32, 6);
  return {"segment", store::make_segment({}, {images}, {sums}), run, resealed_segment};
}

// What parses must also be read as images.
Parser verification_set() {
  using namespace std::string_view_literals;
  constexpr std::string_view kPickle(
      "\x80\x03]q\0(C\x01\x61q\x01\x43\x02\x62\x63q\x02h\x01h\x02\x65]q\x03(\x88\x89\x65\x86q\x04."sv);
  const auto run = [](ByteView bytes) {
    const auto set = face::parse_verification_set(bytes);
    if (set.ok()) {
      BAUTA_ASSERT(set->images.size() == 2 * set->mated.size());
      for (const face::ImagePair& pair : set->pairs()) (void)set->face(pair.probe);
    }
    return same_if(set.ok(), bytes);
  };
  return {"verification-set", bytes_of(kPickle), run};
}

// The rows of a file of embeddings, all of which must be there once its header is accepted.
Parser npy() {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    const auto file = NpyFile::open(MemoryFile(bytes).path());
    if (!file.ok()) return std::nullopt;
    BAUTA_ASSERT(file->read(0, file->rows()).ok());
    return same_if(true, bytes);
  };
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n";
  ByteWriter file;
  file.raw(as_bytes(std::string_view("\x93NUMPY\x01\x00", 8)));
  file.u16(static_cast<uint16_t>(header.size()));
  file.raw(as_bytes(header));
  file.raw(Bytes(2 * 3 * 4));
  return {"npy", std::move(file).take(), run};
}

constexpr size_t kBackupHeadBytes = 10;

// The file of a backup: its records, and the chain of their digests.
Bytes backup_of(ByteView head, const std::vector<store::BackupRecord>& records) {
  ByteWriter file;
  file.raw(head);
  Digest chain{};
  for (const store::BackupRecord& record : records) {
    ByteWriter place;
    place.u8(static_cast<uint8_t>(record.kind));
    place.u64(record.payload.size());
    file.raw(place.bytes());
    file.raw(record.payload);
    const ByteView parts[] = {chain, place.bytes(), record.payload};
    chain = sha256(parts);
    file.raw(chain);
  }
  return std::move(file).take();
}

// The same records, as far as their sizes make sense, with digests that fit.
Bytes resealed_backup(Bytes object) {
  if (object.size() < kBackupHeadBytes) return object;
  ByteReader reader(ByteView(object).subspan(kBackupHeadBytes), "backup");
  std::vector<store::BackupRecord> records;
  while (true) {
    const auto kind = reader.u8();
    const auto size = reader.u64();
    if (!kind.ok() || !size.ok() || *size > reader.remaining()) break;
    const ByteView payload = *reader.raw(*size);
    records.push_back(
        {static_cast<store::BackupRecordKind>(*kind), {payload.begin(), payload.end()}});
    if (!reader.raw(sizeof(Digest)).ok()) break;
  }
  return backup_of(ByteView(object).first(kBackupHeadBytes), records);
}

Parser backup() {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    const MemoryFile file(bytes);
    auto reader = store::BackupReader::open(file.path());
    if (!reader.ok() || !store::read_backup_gallery(file.path()).ok()) return std::nullopt;
    std::vector<store::BackupRecord> records;
    do {
      auto record = reader->next();
      if (!record.ok()) return std::nullopt;
      records.push_back(std::move(*record));
    } while (records.back().kind != store::BackupRecordKind::end);
    // What follows the last record is not read.
    Bytes again = backup_of(bytes.first(kBackupHeadBytes), records);
    again.insert(again.end(), bytes.begin() + static_cast<long>(reader->offset_bytes()),
                 bytes.end());
    return again;
  };
  ByteWriter gallery;
  for (const char* text : {"doors", "key-1", "a contract"}) gallery.text(text);
  gallery.u32(128);
  ByteWriter end;
  end.u64(0);
  const Bytes valid = backup_of(as_bytes(std::string_view("BAUTABAK\x01\x00", kBackupHeadBytes)),
                                {{store::BackupRecordKind::gallery, std::move(gallery).take()},
                                 {store::BackupRecordKind::end, std::move(end).take()}});
  return {"backup", valid, run, resealed_backup};
}

Parser grant_list() {
  const auto run = [](ByteView bytes) -> std::optional<Bytes> {
    const auto parsed = grants::parse_grants(bytes);
    if (!parsed.ok()) return std::nullopt;
    return serialize(*parsed);
  };
  grants::SignedGrants valid;
  valid.list.number = 3;
  BAUTA_ASSERT(valid.list.give({"door-1", "default", "staff", 3, 1'800'000'000'000, 1}).ok());
  BAUTA_ASSERT(valid.list.give({"desk", "*", "*", grants::kAllRights, 0, 2}).ok());
  valid.list.revoke("old");
  return {"grant-list", serialize(valid), run};
}

}  // namespace

std::vector<Parser> file_parsers() {
  return {network("network-tiny"),
          network("network-blocks"),
          engine_description(),
          pairs(),
          image(),
          key_file(),
          key_copy(),
          rsa_public_key(),
          signing_public_key(),
          sealed_package(),
          registration_package(),
          consent_receipt(),
          contract(),
          registered_contract(),
          outcome(),
          segment(),
          configuration(),
          rest_body(),
          npy(),
          verification_set(),
          backup(),
          grant_list()};
}

}  // namespace bauta::fuzz
