#include "services/rest/operations.h"

namespace bauta::rest {
namespace {

Json reference(const std::string& schema) {
  return {{"$ref", "#/components/schemas/" + schema}};
}

Json text(const char* description) {
  return {{"type", "string"}, {"description", description}};
}
Json number(const char* description) {
  return {{"type", "number"}, {"description", description}};
}
Json count(const char* description) {
  return {{"type", "integer"}, {"minimum", 0}, {"description", description}};
}
Json list_of(const Json& item) {
  return {{"type", "array"}, {"items", item}};
}

// An object that has all the properties.
Json object(const Json& properties) {
  Json required = Json::array();
  for (const auto& [name, schema] : properties.items()) required.push_back(name);
  return {{"type", "object"}, {"properties", properties}, {"required", required}};
}

Json decision() {
  return {{"type", "string"},
          {"enum", {"accepted", "rejected", "failed"}},
          {"description", "failed: the image could not be used, for the reason given"}};
}

Json presentation() {
  return {{"type", "string"},
          {"enum", {"not_checked", "pass", "fail"}},
          {"description", "Whether the face was checked for being a live one, and passed"}};
}

Json schemas() {
  const Json reason = text("Why an image could not be used; else empty");
  return {
      {"Contract", object({{"engine", text("Name of the feature extractor")},
                           {"model_digest", text("SHA-256 of its weights and settings")},
                           {"dimension", count("Of an embedding")},
                           {"metric", text("cosine")},
                           {"threshold_verify", number("Score at or above which 1:1 accepts")},
                           {"threshold_identify", number("Score at or above which 1:N accepts")}})},
      {"Gallery", object({{"gallery", text("Its name")},
                          {"subjects", count("Enrolled")},
                          {"references", count("Of all subjects")},
                          {"erased", count("References erased since it was created")},
                          {"damaged_segments",
                           count("Files that are damaged; 'bauta gallery repair' makes them anew")},
                          {"key_id", text("The key generation that it is encrypted under")},
                          {"contract", reference("Contract")}})},
      {"Renewal", object({{"gallery", text("Its name")},
                          {"key_id", text("The key generation that it is encrypted under now")},
                          {"to_key_id", text("The one that it is being renewed to; empty: none")},
                          {"running", {{"type", "boolean"}, {"description", "At work now"}}},
                          {"references", count("In the gallery")},
                          {"renewed", count("Enrolled references that are ready for the new key")},
                          {"error", text("Why the last attempt ended early; else empty")}})},
      {"Galleries", object({{"galleries", list_of(reference("Gallery"))}})},
      {"Enrolment",
       object({{"subject", text("Its name")},
               {"references", list_of(text("Identifier of a reference"))},
               {"refused", list_of(object({{"image", count("Which of the images, from 0")},
                                           {"reason", reason}}))}})},
      {"Erasure", object({{"subject", text("Its name")}, {"references", count("Erased")}})},
      {"Timings",
       object({{"detect_align", number("Milliseconds: decoding, detection, alignment")},
               {"extract", number("Milliseconds: extraction of features, wherever")},
               {"encrypt", number("Milliseconds: encryption of features, or of the image")},
               {"match", number("Milliseconds: derivation of distances on ciphertexts")},
               {"decide", number("Milliseconds: procurement of the minimum")},
               {"total", number("Milliseconds: all of it at the edge")}})},
      {"Identification",
       object({{"decision", decision()},
               {"subject", {{"type", {"string", "null"}}, {"description", "When accepted"}}},
               {"reason", reason},
               {"presentation", presentation()},
               {"not_compared", count("References left out because their files are damaged")},
               {"timings", reference("Timings")}})},
      {"Verification", object({{"decision", decision()},
                               {"reason", reason},
                               {"presentation", presentation()},
                               {"timings", reference("Timings")}})},
      {"Detection", object({{"face",
                             {{"oneOf",
                               {object({{"x", number("Pixels")},
                                        {"y", number("Pixels")},
                                        {"width", number("Pixels")},
                                        {"height", number("Pixels")},
                                        {"landmarks", list_of(object({{"x", number("Pixels")},
                                                                      {"y", number("Pixels")}}))}}),
                                {{"type", "null"}}}}}},
                            {"reason", reason}})},
      {"DecisionNotice",
       object({{"id", text("Of this decision; the same when it is sent again")},
               {"time_s", count("Of the decision, seconds since 1970, UTC")},
               {"operation", {{"type", "string"}, {"enum", {"identify", "verify"}}}},
               {"gallery", text("Its name")},
               {"decision", {{"type", "string"}, {"enum", {"accepted", "rejected"}}}},
               {"subject",
                {{"type", {"string", "null"}},
                 {"description", "identify: who was accepted; verify: who was claimed to be"}}},
               {"request_id", text("Of the request that was decided")}})},
      {"Health", object({{"status", text("live or ready")}})},
      {"Version", object({{"name", text("bauta")}, {"version", text("Semantic version")}})},
      {"Anything", {{"type", "object"}}},
      {"Problem", object({{"type", text("urn:bauta:problem:CODE")},
                          {"title", text("The code")},
                          {"status", count("As in the status line")},
                          {"detail", text("What is wrong, and what to do")},
                          {"request_id", text("To look it up in the logs")}})},
  };
}

Json request_body(BodyKind kind) {
  if (kind == BodyKind::none) return nullptr;
  const Json base64 = {{"type", "string"}, {"contentEncoding", "base64"}};
  const Json binary = {{"type", "string"}, {"contentMediaType", "image/*"}};
  const auto form = [&](const Json& image) {
    Json properties = Json::object();
    if (kind == BodyKind::gallery) properties["gallery"] = text("Name of the new gallery");
    if (kind == BodyKind::subject_images) properties["subject"] = text("Name of the new subject");
    if (kind == BodyKind::probe || kind == BodyKind::image) properties["image"] = image;
    if (kind == BodyKind::images || kind == BodyKind::subject_images)
      properties["images"] = {{"type", "array"}, {"items", image}, {"minItems", 1}};
    Json schema = object(properties);
    if (kind != BodyKind::gallery && kind != BodyKind::image)
      schema["properties"]["mode"] = {
          {"type", "string"},
          {"enum", {kTemplateMode, kImageMode}},
          {"default", kTemplateMode},
          {"description",
           "What leaves the edge: the encrypted features (template), or the encrypted image, whose "
           "features the authentication server extracts unseen (image)"}};
    schema["additionalProperties"] = false;
    return schema;
  };
  return {{"required", true},
          {"content",
           {{"application/json", {{"schema", form(base64)}}},
            {"multipart/form-data", {{"schema", form(binary)}}}}}};
}

Json responses(const Operation& operation) {
  Json all = Json::object();
  Json& success = all[std::to_string(operation.success)] = {{"description", "Done"}};
  if (operation.schema != nullptr)
    success["content"] = {{"application/json", {{"schema", reference(operation.schema)}}}};
  else if (operation.success == 200)
    success["content"] = {{"text/html", Json::object()}};
  all["default"] = {
      {"description", "Not done; 503 has a Retry-After"},
      {"content", {{"application/problem+json", {{"schema", reference("Problem")}}}}}};
  return all;
}

Json parameters(const Operation& operation) {
  Json list = Json::array();
  for (const char* name : {"gallery", "subject"})
    if (std::string_view(operation.path).find(fmt::format("{{{}}}", name)) != std::string::npos)
      list.push_back(
          {{"name", name},
           {"in", "path"},
           {"required", true},
           {"schema", {{"type", "string"}, {"pattern", "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}}}});
  if (operation.changes)
    list.push_back(
        {{"name", "Idempotency-Key"},
         {"in", "header"},
         {"description",
          "The same request with the same key, sent again, is done once and answered the "
          "same, while this edge runs"},
         {"schema", {{"type", "string"}, {"maxLength", 128}}}});
  return list;
}

const char* access_name(Access access) {
  switch (access) {
    case Access::anyone:
      return "anyone";
    case Access::recognise:
      return "an API key of any role";
    case Access::enrol:
      return "an API key with the role enrol or admin";
    case Access::admin:
      return "an API key with the role admin";
  }
  return "";
}

// What the edge sends of itself.
Json webhooks() {
  const Json signature = {
      {"name", "Bauta-Signature"},
      {"in", "header"},
      {"required", true},
      {"description",
       "t=SECONDS,v1=HEX: HEX is the HMAC-SHA256 of SECONDS, a dot and the body, under the secret "
       "of the webhook; refuse what is not fresh"},
      {"schema", {{"type", "string"}}}};
  const Json body = {
      {"required", true},
      {"content", {{"application/json", {{"schema", reference("DecisionNotice")}}}}}};
  return {{"decision",
           {{"post",
             {{"operationId", "decision"},
              {"summary", "A decision, told to the URL that the edge is configured with"},
              {"parameters", Json::array({signature})},
              {"requestBody", body},
              {"responses",
               {{"2XX", {{"description", "Taken; the edge sends it no more"}}},
                {"4XX", {{"description", "Refused for good, but for 408, 425 and 429"}}},
                {"default", {{"description", "Sent again, five times at most"}}}}}}}}}};
}

Json document() {
  Json paths = Json::object();
  for (const Operation& operation : operations()) {
    std::string method = operation.method;
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    Json& entry = paths[operation.path][method] = {
        {"operationId", operation.id},
        {"summary", operation.summary},
        {"description", fmt::format("For {}.", access_name(operation.access))},
        {"parameters", parameters(operation)},
        {"responses", responses(operation)}};
    if (const Json body = request_body(operation.body); !body.is_null())
      entry["requestBody"] = body;
    if (operation.access == Access::anyone) entry["security"] = Json::array();
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "bauta edge"},
            {"version", BAUTA_VERSION},
            {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}},
            {"description",
             "Face recognition on encrypted templates and images. Images are forgotten once "
             "they are encrypted."}}},
          {"security", {{{"key", Json::array()}}}},
          {"paths", paths},
          {"webhooks", webhooks()},
          {"components",
           {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"schemas", schemas()}}}};
}

std::string make_page() {
  std::string page =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>bauta edge</title>"
      "<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
      "code{background:#eee;padding:.1em .3em}dt{margin-top:1em}</style>"
      "<h1>bauta edge</h1><p>What this edge answers; <a href=\"/openapi.json\">/openapi.json</a> "
      "says it for programs. Images are sent as <code>multipart/form-data</code> or as base64 in "
      "JSON, the API key as <code>Authorization: Bearer KEY</code>.</p><dl>";
  for (const Operation& operation : operations())
    page += fmt::format("<dt><code>{} {}</code><dd>{}. For {}.", operation.method, operation.path,
                        operation.summary, access_name(operation.access));
  return page + "</dl></html>\n";
}

}  // namespace

const std::string& openapi() {
  static const std::string text = document().dump(1);
  return text;
}

const std::string& browsable_page() {
  static const std::string page = make_page();
  return page;
}

}  // namespace bauta::rest
