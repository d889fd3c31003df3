#include "services/grants/grant_list.h"

#include <algorithm>
#include <tuple>

namespace bauta::grants {
namespace {

constexpr std::string_view kMagic = "BAUTAGRANTS1\n";
constexpr size_t kMaxGrantName_bytes = 128;
constexpr Right kRights[] = {Right::recognise, Right::enrol, Right::erase, Right::admin};

auto place_of(const Grant& grant) {
  return std::tie(grant.edge, grant.tenant, grant.gallery);
}

bool comes_before(const Grant& left, const Grant& right) {
  return place_of(left) < place_of(right);
}

Error not_a_list(std::string_view why) {
  return make_error(ErrorCode::corrupt, "the list of grants is damaged: {}", why);
}

bool is_name(std::string_view name) {
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const auto is_allowed = [&](char c) {
    return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxGrantName_bytes && is_letter_or_digit(name.front()) &&
         std::ranges::all_of(name, is_allowed);
}

bool is_name_or_every(std::string_view name) {
  return name == kEvery || is_name(name);
}

Result<Grant> read_grant(ByteReader& reader) {
  Grant grant;
  BAUTA_TRY(grant.edge, reader.text(kMaxGrantName_bytes));
  BAUTA_TRY(grant.tenant, reader.text(kMaxGrantName_bytes));
  BAUTA_TRY(grant.gallery, reader.text(kMaxGrantName_bytes));
  BAUTA_TRY(grant.rights, reader.u8());
  BAUTA_TRY(const uint64_t not_after_ms, reader.u64());
  BAUTA_TRY(grant.number, reader.u64());
  grant.not_after_ms = static_cast<int64_t>(not_after_ms);
  if (!is_name(grant.edge) || !is_name_or_every(grant.tenant) || !is_name_or_every(grant.gallery))
    return not_a_list("it holds a name that is none");
  if (grant.rights == 0 || grant.rights > kAllRights || grant.not_after_ms < 0)
    return not_a_list("it holds a right that there is not");
  return grant;
}

template <size_t count>
Status read_array(ByteReader& reader, std::array<uint8_t, count>& array) {
  BAUTA_TRY(const ByteView bytes, reader.raw(count));
  std::ranges::copy(bytes, array.begin());
  return {};
}

Status read_grants(ByteReader& reader, GrantList& list) {
  BAUTA_TRY(const uint32_t count, reader.u32());
  if (count > kMaxGrants) return not_a_list("it is too long");
  for (uint32_t i = 0; i < count; ++i) {
    BAUTA_TRY(Grant grant, read_grant(reader));
    if (grant.number > list.number) return not_a_list("a grant is newer than the list");
    if (i > 0 && !comes_before(list.grants.back(), grant)) return not_a_list("it is not in order");
    list.grants.push_back(std::move(grant));
  }
  return {};
}

Status read_revoked(ByteReader& reader, GrantList& list) {
  BAUTA_TRY(const uint32_t count, reader.u32());
  if (count > kMaxRevoked) return not_a_list("it is too long");
  for (uint32_t i = 0; i < count; ++i) {
    BAUTA_TRY(std::string edge, reader.text(kMaxGrantName_bytes));
    if (!is_name(edge)) return not_a_list("it holds a name that is none");
    if (i > 0 && list.revoked.back() >= edge) return not_a_list("it is not in order");
    list.revoked.push_back(std::move(edge));
  }
  for (const Grant& grant : list.grants)
    if (list.is_revoked(grant.edge)) return not_a_list("an edge is revoked and has a grant");
  return {};
}

}  // namespace

const char* right_name(Right right) {
  switch (right) {
    case Right::recognise:
      return "recognise";
    case Right::enrol:
      return "enrol";
    case Right::erase:
      return "erase";
    case Right::admin:
      return "admin";
  }
  return "unknown";
}

std::string rights_text(uint8_t rights) {
  std::string text;
  for (const Right right : kRights) {
    if ((rights & static_cast<uint8_t>(right)) == 0) continue;
    if (!text.empty()) text += ',';
    text += right_name(right);
  }
  return text;
}

Result<uint8_t> parse_rights(std::string_view text) {
  uint8_t rights = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(','));
    const auto* const right =
        std::ranges::find_if(kRights, [&](Right each) { return name == right_name(each); });
    if (right == std::end(kRights)) {
      rights = 0;
      break;
    }
    rights = static_cast<uint8_t>(rights | static_cast<uint8_t>(*right));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
  }
  if (rights != 0) return rights;
  return make_error(ErrorCode::invalid_argument,
                    "'{}' names no rights; write one or more of recognise, enrol, erase and admin, "
                    "with commas between them",
                    text);
}

Status check_grant_name(std::string_view what, std::string_view name) {
  if (is_name(name)) return {};
  return make_error(ErrorCode::invalid_argument,
                    "'{}' names no {}: 1 to {} of A-Z a-z 0-9 . _ -, the first a letter or digit",
                    name, what, kMaxGrantName_bytes);
}

Status GrantList::give(const Grant& grant) {
  if (is_revoked(grant.edge))
    return make_error(ErrorCode::refused, "the edge {} was revoked; give the device a new edge id",
                      grant.edge);
  const auto place = std::ranges::lower_bound(grants, grant, comes_before);
  if (place != grants.end() && place_of(*place) == place_of(grant)) {
    *place = grant;
    return {};
  }
  if (grants.size() >= kMaxGrants)
    return make_error(ErrorCode::no_space, "there are {} grants already; take some back",
                      grants.size());
  grants.insert(place, grant);
  return {};
}

std::vector<Grant> GrantList::take(const std::string& edge, const std::string& tenant,
                                   const std::string& gallery) {
  std::vector<Grant> taken;
  std::erase_if(grants, [&](const Grant& grant) {
    const bool meant = grant.edge == edge && (tenant.empty() || grant.tenant == tenant) &&
                       (gallery.empty() || grant.gallery == gallery);
    if (meant) taken.push_back(grant);
    return meant;
  });
  return taken;
}

void GrantList::revoke(const std::string& edge) {
  (void)take(edge, {}, {});
  const auto place = std::ranges::lower_bound(revoked, edge);
  if (place == revoked.end() || *place != edge) revoked.insert(place, edge);
}

bool GrantList::is_revoked(const std::string& edge) const {
  return std::ranges::binary_search(revoked, edge);
}

Bytes serialize(const GrantList& list) {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.u64(list.number);
  writer.u32(static_cast<uint32_t>(list.grants.size()));
  for (const Grant& grant : list.grants) {
    writer.text(grant.edge);
    writer.text(grant.tenant);
    writer.text(grant.gallery);
    writer.u8(grant.rights);
    writer.u64(static_cast<uint64_t>(grant.not_after_ms));
    writer.u64(grant.number);
  }
  writer.u32(static_cast<uint32_t>(list.revoked.size()));
  for (const std::string& edge : list.revoked) writer.text(edge);
  return std::move(writer).take();
}

Bytes serialize(const SignedGrants& grants) {
  ByteWriter writer;
  writer.raw(serialize(grants.list));
  writer.raw(grants.signer);
  writer.raw(grants.signature);
  return std::move(writer).take();
}

Result<SignedGrants> parse_grants(ByteView bytes) {
  ByteReader reader(bytes, "list of grants");
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  if (as_text(magic) != kMagic) return not_a_list("it does not begin as one");
  SignedGrants grants;
  BAUTA_TRY(grants.list.number, reader.u64());
  if (grants.list.number == 0) return not_a_list("it has no number");
  BAUTA_CHECK(read_grants(reader, grants.list));
  BAUTA_CHECK(read_revoked(reader, grants.list));
  BAUTA_CHECK(read_array(reader, grants.signer));
  BAUTA_CHECK(read_array(reader, grants.signature));
  BAUTA_CHECK(reader.finish());
  return grants;
}

}  // namespace bauta::grants
