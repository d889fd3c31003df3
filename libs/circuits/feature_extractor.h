// An edge's encrypted image to an encrypted template of the tenant's gallery: what the
// authentication server does in image mode. Public keys only.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "circuits/encrypted_network.h"
#include "circuits/image_ciphertext.h"
#include "ckks/ring_switch.h"
#include "match/template_ciphertext.h"

namespace bauta::circuits {

// To the gallery's ring, with the gallery's own moduli: the key is under the gallery's secret.
Result<ckks::RingSwitchParameters> ring_switch_parameters(const Plan& plan);

// The bytes of a plan's key as serialised.
size_t key_bytes(const Plan& plan, const ckks::KeyUse& key);

// An embedding, encrypted under the tenant's image key, whose length is near one.
struct Features {
  ckks::EvaluationCiphertext ciphertext;
};

// Thread-safe, but one extraction at a time is fastest: the pool works inside it.
class FeatureExtractor {
 public:
  // key_file: the serialised ring-switch key, then those of plan.keys in order. Takes the memory
  // that the plan predicts. Precondition: the plan is make_plan's of the network. Errors:
  // not_found, corrupt, mismatch; invalid_argument for weights that cannot be encoded.
  static Result<std::unique_ptr<FeatureExtractor>> open(const Plan& plan,
                                                        const network::Network& network,
                                                        const std::filesystem::path& key_file,
                                                        ThreadPool* pool = nullptr);

  const Plan& plan() const { return plan_; }
  // The tenant's secret of the image ring.
  const ckks::KeyId& key_id() const { return key_id_; }
  // The tenant's secret of the gallery ring, which templates are under.
  const ckks::KeyId& gallery_key_id() const { return ring_switch_key_.key.to; }

  // Admits an edge: the serialised key-switching key from its image key to the tenant's. Errors:
  // corrupt, mismatch.
  Status add_edge(ByteView switching_key);

  // Errors: corrupt, mismatch; refused when the edge is not admitted.
  Result<Features> extract(ByteView image) const;

  // Divided by `length`, that of the embedding as far as it is known.
  match::SwitchedProbe probe(const Features& features, double length = 1) const;
  match::StoredReference reference(const Features& features, double length = 1) const;

 private:
  FeatureExtractor(const Plan& plan, const ckks::RingSwitchParameters& ring_switch,
                   ckks::RingSwitchKey ring_switch_key, std::shared_ptr<const ckks::KeySet> keys,
                   ThreadPool* pool);

  ckks::CoefficientCiphertext to_gallery(const ckks::EvaluationCiphertext& ciphertext) const;

  Plan plan_;
  ckks::KeyId key_id_;
  ckks::RingSwitchKey ring_switch_key_;
  ckks::RingSwitcher ring_switcher_;
  ckks::KeySwitcher edge_switcher_;
  ckks::Evaluator evaluator_;
  std::optional<EncryptedNetwork<ckks::Evaluator>> network_;
  ThreadPool* pool_;

  mutable std::mutex mutex_;  // guards what follows
  std::map<ckks::KeyId, std::shared_ptr<const ckks::SwitchingKey>> edges_;
};

}  // namespace bauta::circuits
