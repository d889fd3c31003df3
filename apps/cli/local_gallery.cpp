#include "apps/cli/local_gallery.h"

#include "match/bulk.h"

namespace bauta::cli {

Result<match::StoredReference> no_original(uint64_t) {
  return make_error(ErrorCode::not_found, "the bench keeps no originals");
}

Status insert_references(const match::LocalTenant& tenant, std::span<const float> rows,
                         uint64_t first_slot, match::Gallery& gallery) {
  const size_t dimension = tenant.parameters.dimension();
  for (size_t j = 0; j * dimension < rows.size(); ++j) {
    BAUTA_TRY(const ckks::SeededCiphertext seeded,
              tenant.encrypt_reference(rows.subspan(j * dimension, dimension)));
    BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
    BAUTA_CHECK(gallery.insert(first_slot + j, match::StoredReference{std::move(switched)}));
  }
  return {};
}

Status append_block(const match::LocalTenant& tenant, std::span<const float> rows,
                    match::Gallery& gallery, ThreadPool& threads) {
  BAUTA_TRY(const match::BulkBlock bulk, match::BulkBlock::create(tenant.parameters, rows));
  const size_t width = tenant.parameters.width();
  match::TiledCiphertexts images(width);
  std::vector<Status> statuses(width);
  const auto make_one = [&](size_t u) -> Status {
    BAUTA_TRY(const match::TemplatePolynomial message, bulk.encode(u));
    BAUTA_TRY(const ckks::SeededCiphertext seeded,
              tenant.encrypt(message, tenant.parameters.reference_scale()));
    BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
    const ckks::EvaluationCiphertext image = to_evaluation(std::move(switched));
    images.put(u, image.c0, image.c1);
    return {};
  };
  threads.parallel_for(width, [&](size_t begin, size_t end) {
    for (size_t u = begin; u < end; ++u) statuses[u] = make_one(u);
  });
  for (const Status& status : statuses) BAUTA_CHECK(status);
  std::bitset<match::kDegree> live;
  for (size_t j = 0; j < bulk.references(); ++j) live.set(j);
  return gallery.append_block(std::move(images), live);
}

}  // namespace bauta::cli
