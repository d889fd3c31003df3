#include "keys/signature.h"

#include <gtest/gtest.h>

#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

constexpr std::string_view kPurpose = "bauta test 1";

class SignatureTest : public SoftHsmTest {
 protected:
  void SetUp() override {
    SoftHsmTest::SetUp();
    if (IsSkipped()) return;
    token_ = std::move(open_token()).value();
    id_ = token_->create_signing_key("bauta signing").value();
    public_key_ = token_->public_key(id_).value();
  }

  std::unique_ptr<Token> token_;
  KeyId id_{};
  Bytes public_key_;
};

TEST_F(SignatureTest, IsValidForItsKeyPurposeAndMessageAlone) {
  const auto other = token_->create_signing_key("bauta signing").value();
  const Bytes other_key = token_->public_key(other).value();
  for (int i = 0; i < 50; ++i) {
    Bytes message(static_cast<size_t>(i));
    auto signature = token_->sign(id_, kPurpose, message);
    ASSERT_TRUE(signature.ok()) << signature.error().message;
    const Status valid = verify_signature(public_key_, kPurpose, message, *signature);
    EXPECT_TRUE(valid.ok()) << valid.error().message;
    EXPECT_EQ(verify_signature(other_key, kPurpose, message, *signature).error().code,
              ErrorCode::corrupt);
    EXPECT_FALSE(verify_signature(public_key_, "bauta test 2", message, *signature).ok());
    message.push_back(0);
    EXPECT_FALSE(verify_signature(public_key_, kPurpose, message, *signature).ok());
  }
}

TEST_F(SignatureTest, FlippingAnyBitIsFound) {
  const Bytes message = {1, 2, 3};
  const Signature signature = token_->sign(id_, kPurpose, message).value();
  for (size_t bit = 0; bit < 8 * signature.size(); ++bit) {
    Signature changed = signature;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(verify_signature(public_key_, kPurpose, message, changed).ok()) << bit;
  }
  EXPECT_FALSE(verify_signature(public_key_, kPurpose, message, Signature{}).ok());
}

TEST_F(SignatureTest, PublicKeysThatAreNoneAreRefused) {
  const Signature signature = token_->sign(id_, kPurpose, {}).value();
  for (size_t size_bytes = 0; size_bytes < public_key_.size(); ++size_bytes)
    EXPECT_EQ(verify_signature(ByteView(public_key_).first(size_bytes), kPurpose, {}, signature)
                  .error()
                  .code,
              ErrorCode::invalid_argument);
  Bytes longer = public_key_;
  longer.push_back(0);
  EXPECT_EQ(verify_signature(longer, kPurpose, {}, signature).error().code,
            ErrorCode::invalid_argument);
  Bytes off_the_curve = public_key_;
  off_the_curve.back() ^= 1;
  EXPECT_FALSE(verify_signature(off_the_curve, kPurpose, {}, signature).ok());
}

TEST_F(SignatureTest, KeyOutlivesTheConnection) {
  token_.reset();
  token_ = std::move(open_token()).value();
  EXPECT_EQ(token_->public_key(id_).value(), public_key_);
  EXPECT_TRUE(
      verify_signature(public_key_, kPurpose, {}, token_->sign(id_, kPurpose, {}).value()).ok());
  EXPECT_TRUE(token_->list_keys()->empty()) << "a signing key derives nothing";
  EXPECT_EQ(token_->derive(id_, "p").error().code, ErrorCode::not_found);
}

TEST_F(SignatureTest, PrivateKeyCannotBeReadOrWrapped) {
  token_.reset();
  const RawSession raw(token_directory());
  CK_OBJECT_CLASS private_key = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE pattern{CKA_CLASS, &private_key, sizeof private_key};
  CK_OBJECT_HANDLE key = 0;
  CK_ULONG count = 0;
  ASSERT_EQ(raw.functions()->C_FindObjectsInit(raw.session(), &pattern, 1), CKR_OK);
  ASSERT_EQ(raw.functions()->C_FindObjects(raw.session(), &key, 1, &count), CKR_OK);
  ASSERT_EQ(raw.functions()->C_FindObjectsFinal(raw.session()), CKR_OK);
  ASSERT_EQ(count, 1u);
  uint8_t buffer[256];
  CK_ATTRIBUTE value{CKA_VALUE, buffer, sizeof buffer};
  EXPECT_EQ(raw.functions()->C_GetAttributeValue(raw.session(), key, &value, 1),
            CKR_ATTRIBUTE_SENSITIVE);
  CK_BBOOL extractable = CK_TRUE;
  CK_ATTRIBUTE flag{CKA_EXTRACTABLE, &extractable, sizeof extractable};
  EXPECT_EQ(raw.functions()->C_GetAttributeValue(raw.session(), key, &flag, 1), CKR_OK);
  EXPECT_EQ(extractable, CK_FALSE);
}

TEST_F(SignatureTest, WrongArgumentsAreRefused) {
  EXPECT_EQ(token_->sign(id_, "", {}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(token_->sign(id_, std::string(65, 'p'), {}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(token_->sign(KeyId{9}, kPurpose, {}).error().code, ErrorCode::not_found);
  EXPECT_EQ(token_->public_key(KeyId{9}).error().code, ErrorCode::not_found);
  EXPECT_EQ(token_->create_signing_key("").error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace bauta::keys
