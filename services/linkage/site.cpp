#include "services/linkage/site.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/secret.h"
#include "services/linkage/package.h"
#include "services/linkage/qr_code.h"
#include "services/rest/path.h"
#include "services/rest/rest_api.h"
#include "web/assets.h"

namespace bauta::linkage {
namespace {

using Json = nlohmann::ordered_json;
using rest::Head;
using rest::Response;
using rest::RestApi;

constexpr std::string_view kCookie = "__Host-bauta";
constexpr int64_t kSession_s = 365 * 86'400;
constexpr int64_t kInvitation_s = 24 * 3'600;
constexpr size_t kMaxJson_bytes = 4096;
constexpr uint32_t kLogShown = 200;
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

// The value of the session's cookie; empty without one.
std::string session_of(const Head& head) {
  const std::string& all = head.cookie;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find(';', begin), all.size());
    std::string_view pair = std::string_view(all).substr(begin, end - begin);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.starts_with(kCookie) && pair.substr(kCookie.size()).starts_with('='))
      return std::string(pair.substr(kCookie.size() + 1));
    begin = end + 1;
  }
  return {};
}

std::string csrf_token_of(const std::string& session) {
  const ByteView parts[] = {as_bytes("bauta csrf 1"), as_bytes(session)};
  return to_hex(sha256(parts));
}

std::string credential(const Head& head, std::string_view scheme) {
  return head.authorization.starts_with(scheme) ? head.authorization.substr(scheme.size())
                                                : std::string();
}

Response json(int status, const Json& document) {
  Response response;
  response.status = status;
  response.body = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

// A body of multipart/form-data.
struct Form {
  std::string name, age, gender;
  std::vector<Bytes> images;
  ~Form() {
    for (Bytes& image : images) wipe(image);
    for (std::string* text : {&name, &age, &gender})
      wipe({reinterpret_cast<uint8_t*>(text->data()), text->size()});
  }
};

Status read_form(const rest::Body& body, Form& form) {
  for (const rest::Body::Part& part : body.parts) {
    if (part.name == "image") {
      if (form.images.size() == kMaxImages)
        return make_error(ErrorCode::invalid_argument, "send at most {} pictures", kMaxImages);
      form.images.emplace_back(part.content.begin(), part.content.end());
    } else if (part.name == "name") {
      form.name = part.content;
    } else if (part.name == "age") {
      form.age = part.content;
    } else if (part.name == "gender") {
      form.gender = part.content;
    } else {
      return make_error(ErrorCode::invalid_argument, "there is no field '{}'", part.name);
    }
  }
  if (!form.images.empty()) return {};
  return make_error(ErrorCode::invalid_argument, "no picture was sent");
}

// The texts of a flat JSON object, as they are asked for.
Status read_texts(const rest::Body& body,
                  std::initializer_list<std::pair<const char*, std::string*>> fields) {
  if (body.json.size() > kMaxJson_bytes)
    return make_error(ErrorCode::invalid_argument, "the body has more than {} bytes",
                      kMaxJson_bytes);
  const Json document = Json::parse(body.json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || document.size() != fields.size())
    return make_error(ErrorCode::invalid_argument, "the body should be a JSON object with {} texts",
                      fields.size());
  for (const auto& [name, into] : fields) {
    const auto field = document.find(name);
    if (field == document.end() || !field->is_string())
      return make_error(ErrorCode::invalid_argument, "the text '{}' is missing", name);
    *into = field->get<std::string>();
  }
  return {};
}

}  // namespace

struct LinkageSite::Call {
  LinkageServer& server;
  const SiteOptions& options;
  const Head& head;
  const std::vector<std::string>& names;  // from the path
  const Asker& asker;
  const rest::Body& body;
};

struct LinkageSite::Operation {
  const char* method;
  const char* path;
  Access access;
  bool multipart;
  Result<Response> (*handler)(const Call&);
};

struct LinkageSite::Handlers {
  static Result<Json> receipt_json(LinkageServer& server, const Receipt& receipt) {
    BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, server.packages().signing_keys());
    BAUTA_TRY(const std::string text, to_json(receipt, signing_keys));
    return Json::parse(text);
  }

  static Result<Response> live(const Call&) { return json(200, {{"status", "live"}}); }

  // --- Registration

  static Result<Response> check(const Call& call) {
    Form form;
    BAUTA_CHECK(read_form(call.body, form));
    const Result<Verdict> verdict = call.server.judge(form.images[0]);
    if (!verdict.ok() && verdict.error().code != ErrorCode::invalid_argument)
      return verdict.error();
    return json(200, {{"usable", verdict.ok() && verdict->usable},
                      {"reason", verdict.ok() ? verdict->reason : verdict.error().message}});
  }

  static Result<Response> register_person(const Call& call) {
    Form form;
    BAUTA_CHECK(read_form(call.body, form));
    BAUTA_TRY(std::string attributes, make_attributes(form.name, form.age, form.gender));
    const Result<Registration> registered =
        call.server.register_person(call.asker.invitation, attributes, form.images);
    wipe({reinterpret_cast<uint8_t*>(attributes.data()), attributes.size()});
    if (!registered.ok() && registered.error().code == ErrorCode::refused)
      return RestApi::problem(call.head, 422, "refused", registered.error().message);
    if (!registered.ok()) return registered.error();
    BAUTA_TRY(const Json receipt, receipt_json(call.server, registered->receipt));
    Response response =
        json(201, {{"csrf_token", csrf_token_of(registered->session)}, {"receipt", receipt}});
    response.headers.emplace_back(
        "Set-Cookie", fmt::format("{}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}",
                                  kCookie, registered->session, kSession_s));
    return response;
  }

  // --- The person's own

  static Result<Response> me(const Call& call) {
    BAUTA_TRY(const std::vector<Link> links, call.server.registry().links_of(call.asker.person.id));
    Json engines = Json::array();
    for (const std::unique_ptr<Engine>& engine : call.server.engines()) {
      Json purposes = Json::array();
      for (const std::string& purpose : engine->options().purposes) {
        const auto link = std::ranges::find_if(links, [&](const Link& each) {
          return each.engine == engine->options().name && each.purpose == purpose;
        });
        const bool linked = link != links.end();
        purposes.push_back({{"purpose", purpose},
                            {"state", linked ? link_state_name(link->state) : "off"},
                            {"note", linked ? link->note : ""}});
      }
      engines.push_back({{"engine", engine->options().name},
                         {"title", engine->options().title},
                         {"purposes", purposes}});
    }
    return json(200, {{"registered_at_ms", call.asker.person.created_at_ms},
                      {"deleting", call.asker.person.state == PersonState::deleting},
                      {"csrf_token", csrf_token_of(session_of(call.head))},
                      {"engines", engines}});
  }

  static Result<Response> opt_in(const Call& call) {
    std::string engine, purpose, text;
    BAUTA_CHECK(
        read_texts(call.body, {{"engine", &engine}, {"purpose", &purpose}, {"text", &text}}));
    BAUTA_TRY(const Receipt receipt,
              call.server.opt_in(call.asker.person.id, engine, purpose, text));
    BAUTA_TRY(const Json document, receipt_json(call.server, receipt));
    return json(202, {{"receipt", document}});
  }

  // What an erasure gave; one that an engine holds up is under way, and no error.
  static Result<Response> to_response(const Call& call, const Result<Receipt>& receipt) {
    if (!receipt.ok() &&
        (receipt.error().code == ErrorCode::unavailable || receipt.error().code == ErrorCode::busy))
      return json(202, {{"receipt", nullptr}, {"reason", receipt.error().message}});
    if (!receipt.ok()) return receipt.error();
    BAUTA_TRY(const Json document, receipt_json(call.server, *receipt));
    return json(200, {{"receipt", document}});
  }

  static Result<Response> opt_out(const Call& call) {
    return to_response(call,
                       call.server.opt_out(call.asker.person.id, call.names[0], call.names[1]));
  }

  static Result<Response> delete_me(const Call& call) {
    BAUTA_TRY(Response response,
              to_response(call, call.server.delete_person(call.asker.person.id)));
    if (response.status == 200)
      response.headers.emplace_back(
          "Set-Cookie",
          fmt::format("{}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0", kCookie));
    return response;
  }

  static Result<Response> uses(const Call& call) {
    BAUTA_TRY(const std::vector<Use> uses, call.server.uses(call.asker.person.id));
    Json list = Json::array();
    for (const Use& use : uses)
      list.push_back({{"engine", use.engine},
                      {"purpose", use.record.gallery()},
                      {"time_ms", use.record.time_ms()},
                      {"event", use.record.event()},
                      {"outcome", use.record.outcome()}});
    return json(200, {{"uses", list}});
  }

  static Result<Response> receipts(const Call& call) {
    BAUTA_TRY(const std::vector<Receipt> receipts, call.server.ledger().find(call.asker.person.id));
    Json list = Json::array();
    for (const Receipt& receipt : receipts) {
      BAUTA_TRY(const Json document, receipt_json(call.server, receipt));
      list.push_back(document);
    }
    return json(200, {{"receipts", list}});
  }

  // --- The operators'

  static Result<Response> invite(const Call& call) {
    BAUTA_TRY(const std::string token, call.server.invite(kInvitation_s));
    const std::string url = invitation_url(call.options.public_url, token);
    BAUTA_TRY(const std::string svg, qr_svg(url));
    return json(201, {{"url", url}, {"svg", svg}, {"valid_s", kInvitation_s}});
  }

  static Json engine_json(Engine& engine) {
    Json galleries = Json::array();
    const Result<std::vector<v1::Gallery>> found = engine.galleries();
    for (const v1::Gallery& gallery : found.ok() ? *found : std::vector<v1::Gallery>())
      galleries.push_back({{"gallery", gallery.gallery()},
                           {"subjects", gallery.subjects()},
                           {"references", gallery.references()},
                           {"key_id", gallery.key_id()},
                           {"engine", gallery.contract().engine()},
                           {"dimension", gallery.contract().dimension()}});
    return {{"engine", engine.options().name},
            {"title", engine.options().title},
            {"answers", found.ok()},
            {"galleries", galleries}};
  }

  static Result<Response> overview(const Call& call) {
    Json engines = Json::array(), links = Json::array(), keys = Json::array();
    for (const std::unique_ptr<Engine>& engine : call.server.engines())
      engines.push_back(engine_json(*engine));
    BAUTA_TRY(const std::vector<Link> all, call.server.registry().all_links());
    for (const Link& link : all)
      links.push_back({{"engine", link.engine},
                       {"purpose", link.purpose},
                       {"subject", link.subject},
                       {"state", link_state_name(link.state)},
                       {"note", link.note}});
    BAUTA_TRY(const std::vector<keys::KeyRecord> records, call.server.packages().list());
    for (const keys::KeyRecord& record : records)
      keys.push_back({{"key", to_hex(record.id)},
                      {"generation", record.generation},
                      {"state", keys::key_state_name(record.state())},
                      {"since_ms", record.in_state_since_s() * 1000}});
    BAUTA_TRY(const std::vector<Person> persons,
              call.server.registry().persons(PersonState::registered));
    return json(200, {{"engines", engines},
                      {"persons", persons.size()},
                      {"consents", call.server.ledger().records()},
                      {"links", links},
                      {"keys", keys}});
  }

  static Result<Response> keys(const Call& call) {
    BAUTA_TRY(Engine* const engine, call.server.find_engine(call.names[0]));
    BAUTA_TRY(const v1::ListKeysReply reply, engine->list_keys());
    Json keys = Json::array();
    for (const v1::KeyStatus& key : reply.keys())
      keys.push_back({{"key", key.key_id()},
                      {"generation", key.generation()},
                      {"state", key.state()},
                      {"since_ms", key.since_s() * 1000}});
    return json(200, {{"keys", keys}});
  }

  static Result<Response> response_times(const Call& call) {
    BAUTA_TRY(Engine* const engine, call.server.find_engine(call.names[0]));
    Json times = Json::array();
    for (const ResponseTime& time : engine->response_times().newest())
      times.push_back({{"time_ms", time.time_ms},
                       {"recognitions", time.recognitions},
                       {"encryption_ms", time.encryption_ms},
                       {"distances_ms", time.distances_ms},
                       {"minimum_ms", time.minimum_ms},
                       {"others_ms", time.others_ms}});
    return json(200, {{"measured", engine->response_times().measured()}, {"times", times}});
  }

  static Result<Response> check_logs(const Call& call) {
    Json logs = Json::array();
    for (const LogCheck& check : call.server.check_logs())
      logs.push_back({{"log", check.engine.empty() ? "consents" : "decisions"},
                      {"engine", check.engine},
                      {"checked", check.checked},
                      {"whole", check.whole},
                      {"records", check.records},
                      {"signed_records", check.signed_records},
                      {"reason", check.reason}});
    return json(200, {{"time_ms", now_ms()}, {"logs", logs}});
  }

  static Result<Response> back_up(const Call& call) {
    BAUTA_TRY(Backups* const backups, call.server.find_backups(call.names[0]));
    BAUTA_TRY(const auto ids, backups->back_up());
    Json stored = Json::object();
    for (const auto& [gallery, id] : ids) stored[gallery] = id;
    return json(201, {{"backups", stored}});
  }

  static Result<Json> stored_backups(Backups& backups, const std::string& gallery) {
    BAUTA_TRY(const v1::ListBackupsReply reply, backups.list(gallery));
    Json stored = Json::array();
    for (const v1::StoredBackup& backup : reply.backups())
      stored.push_back({{"gallery", gallery},
                        {"id", backup.id()},
                        {"created_at_ms", backup.created_at_ms()},
                        {"bytes", backup.size_bytes()}});
    return stored;
  }

  static Result<Response> all_backups(const Call& call) {
    BAUTA_TRY(const Engine* const engine, call.server.find_engine(call.names[0]));
    BAUTA_TRY(Backups* const backups, call.server.find_backups(call.names[0]));
    Json all = Json::array();
    for (const std::string& gallery : engine->options().purposes) {
      BAUTA_TRY(const Json stored, stored_backups(*backups, gallery));
      all.insert(all.end(), stored.begin(), stored.end());
    }
    const BackupState state = backups->state();
    return json(200, {{"interval_s", backups->schedule().interval_ms / 1000},
                      {"kept", backups->schedule().kept},
                      {"failed_ms", state.failed_ms},
                      {"error", state.error},
                      {"backups", all}});
  }

  static Result<Response> list_backups(const Call& call) {
    BAUTA_TRY(Backups* const backups, call.server.find_backups(call.names[0]));
    BAUTA_TRY(const Json stored, stored_backups(*backups, call.names[1]));
    return json(200, {{"backups", stored}});
  }

  static Result<Response> read_backup(const Call& call) {
    BAUTA_TRY(Backups* const backups, call.server.find_backups(call.names[0]));
    BAUTA_TRY(v1::GalleryBackup backup, backups->read(call.names[1], call.names[2]));
    Response response;
    response.content_type = "application/octet-stream";
    response.body = std::move(*backup.mutable_file());
    return response;
  }

  static Result<Response> log(const Call& call) {
    BAUTA_TRY(const v1::FindLogReply reply, call.server.read_log(call.names[0], kLogShown));
    Json records = Json::array();
    for (const v1::LogRecord& record : reply.records())
      records.push_back({{"sequence", record.sequence()},
                         {"time_ms", record.time_ms()},
                         {"event", record.event()},
                         {"outcome", record.outcome()},
                         {"gallery", record.gallery()},
                         {"subject", record.subject()}});
    return json(200, {{"records", records}});
  }

  static const std::vector<Operation>& table() {
    using enum Access;
    static const std::vector<Operation> operations{
        {"GET", "/v1/health/live", anyone, false, live},
        {"POST", "/v1/pictures/check", participant, true, check},
        {"POST", "/v1/registrations", invited, true, register_person},
        {"GET", "/v1/me", person, false, me},
        {"DELETE", "/v1/me", person, false, delete_me},
        {"POST", "/v1/me/consents", person, false, opt_in},
        {"DELETE", "/v1/me/consents/{engine}/{purpose}", person, false, opt_out},
        {"GET", "/v1/me/uses", person, false, uses},
        {"GET", "/v1/me/receipts", person, false, receipts},
        {"POST", "/v1/operator/invitations", operator_, false, invite},
        {"GET", "/v1/operator/overview", operator_, false, overview},
        {"POST", "/v1/operator/log-checks", operator_, false, check_logs},
        {"GET", "/v1/operator/engines/{engine}/log", operator_, false, log},
        {"GET", "/v1/operator/engines/{engine}/keys", operator_, false, keys},
        {"GET", "/v1/operator/engines/{engine}/response-times", operator_, false, response_times},
        {"GET", "/v1/operator/engines/{engine}/backups", operator_, false, all_backups},
        {"POST", "/v1/operator/engines/{engine}/backups", operator_, false, back_up},
        {"GET", "/v1/operator/engines/{engine}/backups/{gallery}", operator_, false, list_backups},
        {"GET", "/v1/operator/engines/{engine}/backups/{gallery}/{id}", operator_, false,
         read_backup},
    };
    return operations;
  }
};

bool LinkageSite::is_person(const Head& head, bool changes, Asker& asker, Response& refusal) {
  const std::string session = session_of(head);
  const Result<Person> person = server_.person_of(session);
  if (session.empty() || !person.ok()) {
    refusal = RestApi::problem(head, 401, "unauthenticated",
                               "this browser is not registered; use the invitation you were given");
    return false;
  }
  // The cookie comes along by itself; the token shows that our own page has sent the request.
  if (changes &&
      !equal_constant_time(as_bytes(csrf_token_of(session)), as_bytes(head.csrf_token))) {
    refusal = RestApi::problem(head, 403, "refused",
                               "the request lacks the X-CSRF-Token of this session");
    return false;
  }
  asker.person = *person;
  return true;
}

bool LinkageSite::admit(const Head& head, const Operation& operation, Asker& asker,
                        Response& refusal) {
  const bool changes = head.method != "GET" && head.method != "HEAD";
  const std::string invitation = credential(head, "Invitation ");
  switch (operation.access) {
    case Access::anyone:
      return true;
    case Access::operator_: {
      const Digest given = sha256(as_bytes(credential(head, "Bearer ")));
      if (options_.operator_key != Digest{} && equal_constant_time(given, options_.operator_key))
        return true;
      refusal = RestApi::problem(head, 401, "unauthenticated",
                                 "send the operators' API key as 'Authorization: Bearer KEY'");
      return false;
    }
    case Access::participant:
      if (invitation.empty()) return is_person(head, changes, asker, refusal);
      [[fallthrough]];
    case Access::invited: {
      const Result<bool> invited = server_.is_invited(invitation);
      asker.invitation = invitation;
      if (invited.ok() && *invited) return true;
      refusal = RestApi::problem(head, 401, "unauthenticated",
                                 "this invitation was used before or has expired; ask for another");
      return false;
    }
    case Access::person:
      return is_person(head, changes, asker, refusal);
  }
  return false;
}

bool LinkageSite::receive(const Head& head, rest::Visit& visit, Response& refusal) {
  const bool reads = head.method == "GET" || head.method == "HEAD";
  if (const web::Asset* const asset = web::find_asset(head.path); asset != nullptr && reads) {
    visit.path = asset->path;
    visit.answer = [asset](const rest::Body&) {
      Response response;
      response.content_type = asset->content_type;
      response.body = asset->content;
      response.headers = {{"Content-Security-Policy", kPolicy},
                          {"Referrer-Policy", "no-referrer"},
                          {"Permissions-Policy", "camera=(self)"}};
      return response;
    };
    return true;
  }
  bool path_known = false;
  for (const Operation& operation : Handlers::table()) {
    const std::optional<std::vector<std::string>> names =
        rest::match_path(operation.path, head.path);
    if (!names) continue;
    path_known = true;
    if (head.method != operation.method) continue;
    visit.path = operation.path;
    Asker asker;
    if (!admit(head, operation, asker, refusal)) return false;
    const bool multipart = head.content_type.starts_with("multipart/form-data");
    const bool is_json = head.content_type.starts_with("application/json");
    if (head.method == "POST" && (operation.multipart ? !multipart : !is_json)) {
      refusal = RestApi::problem(head, 415, "unsupported_media_type",
                                 operation.multipart ? "send the body as multipart/form-data"
                                                     : "send the body as application/json");
      return false;
    }
    visit.answer = [this, head, names = *names, asker, &operation](const rest::Body& body) {
      const Result<Response> response =
          operation.handler({server_, options_, head, names, asker, body});
      return response.ok() ? *response : RestApi::problem(head, response.error());
    };
    return true;
  }
  refusal = path_known ? RestApi::problem(head, 405, "method_not_allowed",
                                          "this path does not answer to " + head.method)
                       : RestApi::problem(head, 404, "not_found", "there is nothing at this path");
  return false;
}

std::string invitation_url(const std::string& public_url, const std::string& token) {
  return public_url + "/#" + token;
}

}  // namespace bauta::linkage
