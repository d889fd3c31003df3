#include "services/key/image_keys.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "ckks/ring_switch.h"
#include "secret/key_generation.h"

namespace bauta::key {
namespace {

// Persistent, as are the purposes in services/services.h. Expanded with the number of levels, as
// the edge's is.
constexpr std::string_view kTenantImagePurpose = "bauta tenant image secret 1";

constexpr int kMaxKeys = 16;  // in one request; some megabytes each

// The secrets that keys lead from and to.
struct Secrets {
  const secret::SecretKey& image;
  const secret::SecretKey& gallery;
};

class ImageKeyMaker {
 public:
  ImageKeyMaker(keys::KeyStore& store, const keys::KeyId& id, const circuits::ImageRing& ring,
                const Secrets& secrets)
      : store_(store), id_(id), ring_(ring), secrets_(secrets) {}

  Result<Bytes> make(const v1::ImageKey& wanted) const {
    const ckks::Parameters& parameters = ring_.parameters();
    switch (wanted.kind_case()) {
      case v1::ImageKey::kGaloisElement: {
        if (wanted.galois_element() % 2 == 0 || wanted.galois_element() >= 2 * parameters.degree())
          return make_error(ErrorCode::invalid_argument, "X -> X^{} is no automorphism of the ring",
                            wanted.galois_element());
        BAUTA_TRY(const ckks::KeySwitchShape shape, stage(wanted.limbs()));
        BAUTA_TRY(const ckks::GaloisKey key,
                  secret::generate_galois_key(secrets_.image, wanted.galois_element(), shape));
        return serialize(parameters, key);
      }
      case v1::ImageKey::kRelinearization: {
        BAUTA_TRY(const ckks::KeySwitchShape shape, stage(wanted.limbs()));
        BAUTA_TRY(const ckks::RelinearizationKey key,
                  secret::generate_relinearization_key(secrets_.image, shape));
        return serialize(parameters, key);
      }
      case v1::ImageKey::kRingSwitch: {
        const ckks::Parameters& gallery = secrets_.gallery.parameters();
        BAUTA_TRY(const auto ring_switch, ckks::RingSwitchParameters::create(
                                              parameters, gallery, gallery.special_primes()));
        BAUTA_TRY(const ckks::RingSwitchKey key,
                  secret::generate_ring_switch_key(ring_switch, secrets_.image, secrets_.gallery));
        return serialize(ring_switch, key);
      }
      case v1::ImageKey::kEdgeId: {
        BAUTA_TRY(const secret::SecretKey edge,
                  derive_edge_image_key(store_, id_, wanted.edge_id(), ring_));
        BAUTA_TRY(const ckks::SwitchingKey key,
                  secret::generate_switching_key(edge, secrets_.image, ring_.stages().front()));
        return serialize(parameters, key);
      }
      case v1::ImageKey::KIND_NOT_SET:
        break;
    }
    return make_error(ErrorCode::invalid_argument, "an image key of no known kind is asked for");
  }

 private:
  Result<ckks::KeySwitchShape> stage(size_t limbs) const {
    for (const ckks::KeySwitchShape& shape : ring_.stages())
      if (shape.limbs == limbs) return shape;
    return make_error(ErrorCode::invalid_argument, "the image ring has no keys for {} limbs",
                      limbs);
  }

  keys::KeyStore& store_;
  const keys::KeyId& id_;
  const circuits::ImageRing& ring_;
  Secrets secrets_;
};

}  // namespace

Result<secret::SecretKey> derive_tenant_image_key(keys::KeyStore& store, const keys::KeyId& id,
                                                  const circuits::ImageRing& ring) {
  BAUTA_TRY(const SecretBytes seed, store.derive(id, kTenantImagePurpose));
  return secret::SecretKey::expand(
      ring.parameters(), seed, fmt::format("{}, {} levels", kTenantImagePurpose, ring.levels()));
}

Result<secret::SecretKey> derive_edge_image_key(keys::KeyStore& store, const keys::KeyId& id,
                                                const std::string& edge_id,
                                                const circuits::ImageRing& ring) {
  BAUTA_TRY(const SecretBytes seed, store.derive(id, kEdgeSecretPurpose, edge_id));
  return secret::SecretKey::expand(ring.parameters(), seed, edge_image_purpose(ring.levels()));
}

Result<v1::ImageKeys> make_image_keys(keys::KeyStore& store, const keys::KeyId& id,
                                      const secret::SecretKey& gallery_key,
                                      const v1::GetImageKeysRequest& request) {
  if (request.keys_size() == 0 || request.keys_size() > kMaxKeys)
    return make_error(ErrorCode::invalid_argument, "{} image keys at once; 1 to {} are possible",
                      request.keys_size(), kMaxKeys);
  BAUTA_TRY(const circuits::ImageRing ring, circuits::ImageRing::create(request.levels()));
  BAUTA_TRY(const secret::SecretKey image_key, derive_tenant_image_key(store, id, ring));
  const ImageKeyMaker maker(store, id, ring, {image_key, gallery_key});

  const auto count = static_cast<size_t>(request.keys_size());
  std::vector<Result<Bytes>> made(count, Bytes());
  ThreadPool threads(std::min(available_processors(), count));
  threads.parallel_for(count, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) made[i] = maker.make(request.keys(static_cast<int>(i)));
  });
  v1::ImageKeys reply;
  for (const Result<Bytes>& key : made) {
    if (!key.ok()) return key.error();
    reply.add_keys(std::string(as_text(*key)));
  }
  return reply;
}

}  // namespace bauta::key
