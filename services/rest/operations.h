// The table of operations. Internal to services/rest.
#pragma once

#include <optional>
#include <span>

#include "services/rest/json.h"
#include "services/rest/rest_api.h"

namespace bauta::rest {

// Values of the field `mode`; the first is meant when there is none.
inline constexpr const char* kTemplateMode = "template";
inline constexpr const char* kImageMode = "image";

// What a body brings, in either form. The images are wiped at the end.
struct Fields {
  Fields() = default;
  Fields(Fields&&) = default;
  Fields& operator=(Fields&&) = default;
  ~Fields() {
    for (Bytes& image : images) wipe(image);
  }

  std::string gallery, subject;
  std::optional<std::string> mode;
  std::vector<Bytes> images;
};

struct Handlers {
  RestApi& api;
  const Head& head;
  const std::vector<std::string>& names;
  const Fields& fields;

  Mode mode() const;
  Result<Response> list_galleries() const;
  Result<Response> create_gallery() const;
  Result<Response> get_gallery() const;
  Result<Response> delete_gallery() const;
  Result<Response> renew_gallery() const;
  Result<Response> get_renewal() const;
  Result<Response> enrol() const;
  Result<Response> add_references() const;
  Result<Response> erase() const;
  Result<Response> identify() const;
  Result<Response> verify() const;
  Result<Response> detect() const;
  Result<Response> live() const;
  Result<Response> ready() const;
  Result<Response> version() const;
  Result<Response> description() const;
  Result<Response> page() const;

 private:
  // Whoever listens to decisions.
  void tell(const char* operation, const edge::Recognition& recognition,
            const std::string& subject) const;
};

// With subject_images, images and probe a mode may be said; image is looked at by the edge alone.
enum class BodyKind { none, gallery, subject_images, images, probe, image };

struct Operation {
  const char* method;
  const char* path;  // {names} in braces
  const char* id;
  const char* summary;
  Access access;
  BodyKind body;
  bool changes;  // may be repeated safely under an Idempotency-Key
  int success;
  const char* schema;  // of the answer, in the components of the description
  Result<Response> (Handlers::*handler)() const;
};

std::span<const Operation> operations();

// Error invalid_argument, in words for the sender.
Result<Fields> read_fields(const Operation& operation, const Head& head, const Body& body,
                           size_t max_images);

}  // namespace bauta::rest
