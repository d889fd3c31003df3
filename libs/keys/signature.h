// Signatures of the token under the names of this library; base/signature.h says what they are.
#pragma once

#include "base/signature.h"

namespace bauta::keys {

using bauta::Signature;
using bauta::signed_digest;
using bauta::verify_signature;

}  // namespace bauta::keys
