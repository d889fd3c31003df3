// Owners of what C libraries hand out.
#pragma once

namespace bauta {

// For std::unique_ptr: calls the library's own function, e.g. Release<EVP_PKEY_free>.
template <auto release>
struct Release {
  template <typename Object>
  void operator()(Object* object) const {
    release(object);
  }
};

}  // namespace bauta
