// Random sequences of operations against a model in memory that says what each must answer.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <rapidcheck.h>

#include "store/test_support.h"

namespace bauta::store {
namespace {

enum class Kind { create, remove, enrol, add, erase, follow, put_edge, revoke_edge, reopen };

struct Operation {
  Kind kind;
  std::string gallery, subject;
  std::vector<Bytes> originals;
};

std::ostream& operator<<(std::ostream& out, const Operation& operation) {
  return out << static_cast<int>(operation.kind) << ' ' << operation.gallery << ' '
             << operation.subject << " x" << operation.originals.size();
}

rc::Gen<Operation> any_operation() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::weightedElement<Kind>({{2, Kind::create},
                                                     {1, Kind::remove},
                                                     {8, Kind::enrol},
                                                     {4, Kind::add},
                                                     {6, Kind::erase},
                                                     {3, Kind::follow},
                                                     {1, Kind::put_edge},
                                                     {1, Kind::revoke_edge},
                                                     {1, Kind::reopen}}),
                     rc::gen::element<std::string>("doors", "park"),
                     rc::gen::element<std::string>("anna", "ben", "carl", "dora"),
                     rc::gen::inRange<size_t>(1, 4), rc::gen::arbitrary<uint64_t>()),
      [](const auto& parts) {
        const auto& [kind, gallery, subject, count, seed] = parts;
        Operation operation{kind, gallery, subject, {}};
        for (size_t i = 0; i < count; ++i)
          operation.originals.push_back(original_bytes(seed + i, 10 + (seed + i) % 6000));
        return operation;
      });
}

using Positions = std::map<uint32_t, std::pair<std::string, Bytes>>;

struct ModelGallery {
  Gallery handle;
  Positions live;
  std::set<uint32_t> erased;
  uint64_t generation = 0;

  bool holds(const std::string& subject) const {
    return std::ranges::any_of(live,
                               [&](const auto& entry) { return entry.second.first == subject; });
  }
  uint32_t take_position() {
    if (erased.empty()) return static_cast<uint32_t>(live.size());
    const uint32_t lowest = *erased.begin();
    erased.erase(erased.begin());
    return lowest;
  }
};

// What a server that follows the gallery has.
struct Follower {
  int64_t gallery_id = 0;
  uint64_t since = 0;
  Positions positions;
};

class Comparison {
 public:
  explicit Comparison(const std::filesystem::path& path) : path_(path), catalogue_(opened()) {}

  void apply(const Operation& operation) {
    switch (operation.kind) {
      case Kind::create:
        return create(operation);
      case Kind::remove:
        return remove(operation);
      case Kind::enrol:
        return enrol(operation, IfEnrolled::refuse);
      case Kind::add:
        return enrol(operation, IfEnrolled::add);
      case Kind::erase:
        return erase(operation);
      case Kind::follow:
        return follow(operation.gallery);
      case Kind::put_edge:
        return put_edge(operation);
      case Kind::revoke_edge:
        return revoke_edge(operation);
      case Kind::reopen:
        catalogue_ = opened();
    }
  }

  void compare_everything() {
    RC_ASSERT(catalogue_.list_galleries()->size() == galleries_.size());
    for (const auto& [name, gallery] : galleries_) {
      follow(name);
      const GalleryStats stats = *catalogue_.stats(gallery.handle);
      std::map<std::string, size_t> subjects;
      size_t original_bytes = 0;
      for (const auto& [position, reference] : gallery.live) {
        ++subjects[reference.first];
        original_bytes += reference.second.size();
      }
      RC_ASSERT(stats.subjects == subjects.size());
      RC_ASSERT(stats.references == gallery.live.size());
      RC_ASSERT(stats.erased == gallery.erased.size());
      RC_ASSERT(stats.original_bytes == original_bytes);
      for (const auto& [subject, count] : subjects)
        RC_ASSERT(catalogue_.find_subject(gallery.handle, subject)->references.size() == count);
    }
    RC_ASSERT(catalogue_.verify_audit_chain()->sequence == audit_records_);
    RC_ASSERT(catalogue_.check().ok());
  }

 private:
  Catalogue opened() const { return *Catalogue::open(path_); }

  void create(const Operation& operation) {
    const auto created = catalogue_.create_gallery(new_gallery(operation.gallery));
    RC_ASSERT(created.ok() == !galleries_.contains(operation.gallery));
    if (!created.ok()) return;
    galleries_[operation.gallery].handle = *created;
    ++audit_records_;
  }

  void remove(const Operation& operation) {
    const auto removed = catalogue_.delete_gallery(operation.gallery);
    const auto gallery = galleries_.find(operation.gallery);
    RC_ASSERT(removed.ok() == (gallery != galleries_.end()));
    if (!removed.ok()) return;
    RC_ASSERT(removed->references == gallery->second.live.size());
    RC_ASSERT(catalogue_.generation(gallery->second.handle).error().code == ErrorCode::not_found);
    galleries_.erase(gallery);
    ++audit_records_;
  }

  void enrol(const Operation& operation, IfEnrolled if_enrolled) {
    const auto found = galleries_.find(operation.gallery);
    if (found == galleries_.end()) return;
    ModelGallery& gallery = found->second;
    const auto enrolled =
        catalogue_.enrol(gallery.handle, operation.subject, operation.originals, if_enrolled);
    const bool refused = if_enrolled == IfEnrolled::refuse && gallery.holds(operation.subject);
    RC_ASSERT(enrolled.ok() == !refused);
    if (refused) return;
    std::vector<uint32_t> positions;
    for (const Bytes& original : operation.originals) {
      positions.push_back(gallery.take_position());
      gallery.live[positions.back()] = {operation.subject, original};
    }
    for (size_t i = 0; i < positions.size(); ++i)
      RC_ASSERT((*enrolled)[i].position == positions[i]);
    ++gallery.generation;
    ++audit_records_;
  }

  void erase(const Operation& operation) {
    const auto found = galleries_.find(operation.gallery);
    if (found == galleries_.end()) return;
    ModelGallery& gallery = found->second;
    const auto erased = catalogue_.erase_subject(gallery.handle, operation.subject);
    RC_ASSERT(erased.ok() == gallery.holds(operation.subject));
    if (!erased.ok()) return;
    RC_ASSERT(erased->bytes_gone);
    RC_ASSERT(erased->references == std::erase_if(gallery.live, [&](const auto& entry) {
                if (entry.second.first != operation.subject) return false;
                gallery.erased.insert(entry.first);
                return true;
              }));
    ++gallery.generation;
    ++audit_records_;
  }

  void follow(const std::string& name) {
    const auto found = galleries_.find(name);
    if (found == galleries_.end()) return;
    const ModelGallery& gallery = found->second;
    RC_ASSERT(*catalogue_.generation(gallery.handle) == gallery.generation);
    Follower& follower = followers_[name];
    if (follower.gallery_id != gallery.handle.id) follower = {gallery.handle.id, 0, {}};
    const auto until = catalogue_.for_each_reference(
        gallery.handle, follower.since, [&](const ReferenceView& view) {
          follower.positions.erase(view.position);
          if (view.live)
            follower.positions[view.position] = {std::string(view.subject),
                                                 Bytes(view.original.begin(), view.original.end())};
          return Status{};
        });
    RC_ASSERT(*until == gallery.generation);
    RC_ASSERT(follower.positions == gallery.live);
    follower.since = *until;
  }

  void put_edge(const Operation& operation) {
    const bool free = !edges_.contains(operation.subject);
    const auto put = catalogue_.put_edge("key-1", operation.subject, operation.originals[0]);
    RC_ASSERT(put.ok() == free);
    if (!free) return;
    edges_[operation.subject] = operation.originals[0];
    ++audit_records_;
  }

  void revoke_edge(const Operation& operation) {
    const auto revoked = catalogue_.revoke_edge(operation.subject);
    RC_ASSERT(revoked.ok() && *revoked);
    const auto edge = edges_.find(operation.subject);
    if (edge == edges_.end() || edge->second) ++audit_records_;
    edges_[operation.subject].reset();
    RC_ASSERT(catalogue_.find_edge("key-1", operation.subject).error().code == ErrorCode::refused);
  }

  std::filesystem::path path_;
  Catalogue catalogue_;
  std::map<std::string, ModelGallery> galleries_;
  std::map<std::string, std::optional<Bytes>> edges_;  // nothing: revoked
  std::map<std::string, Follower> followers_;
  uint64_t audit_records_ = 0;
};

TEST(CatalogueModelTest, AnySequenceOfOperationsAnswersAsTheModelDoes) {
  EXPECT_TRUE(rc::check([] {
    const TemporaryDirectory directory(memory_directory());
    Comparison comparison(directory.path() / "catalogue.db");
    for (const Operation& operation : *rc::gen::container<std::vector<Operation>>(any_operation()))
      comparison.apply(operation);
    comparison.compare_everything();
  }));
}

}  // namespace
}  // namespace bauta::store
