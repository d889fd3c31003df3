// Keys of image mode: those of a tenant's secret in the image ring, and the ways into and out of
// it.
#pragma once

#include "circuits/image_ring.h"
#include "keys/key_store.h"
#include "secret/secret_key.h"
#include "services/services.h"

namespace bauta::key {

// The tenant's secret in the image ring. Lives for one request.
Result<secret::SecretKey> derive_tenant_image_key(keys::KeyStore& store, const keys::KeyId& id,
                                                  const circuits::ImageRing& ring);

// The edge's secret in the image ring, from the same seed as its other one.
Result<secret::SecretKey> derive_edge_image_key(keys::KeyStore& store, const keys::KeyId& id,
                                                const std::string& edge_id,
                                                const circuits::ImageRing& ring);

// gallery_key: the tenant's secret in the gallery's ring. Errors: invalid_argument for keys that
// the ring does not have; those of the store.
Result<v1::ImageKeys> make_image_keys(keys::KeyStore& store, const keys::KeyId& id,
                                      const secret::SecretKey& gallery_key,
                                      const v1::GetImageKeysRequest& request);

}  // namespace bauta::key
