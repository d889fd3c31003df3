// A PKCS#11 module for tests: the SoftHSM2 that $BAUTA_TEST_SOFTHSM names, with faults on demand.
//
// bauta_fault(function, result, times, when): the next `times` calls of a function return `result`,
// either instead of doing anything (0), or although they have done it (1). bauta_calls(function):
// how often it was called since. bauta_weaken(true): attributes that are true read as false.

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

namespace {

struct Fault {
  CK_RV result = CKR_OK;
  int times = 0;
  int when = 0;
  int calls = 0;
};

std::mutex mutex;
std::map<std::string, Fault> faults;
CK_FUNCTION_LIST* softhsm = nullptr;
CK_FUNCTION_LIST functions;
bool weak = false;

// The fault that this call shall suffer; result CKR_OK for none.
Fault next_fault(const char* function) {
  std::lock_guard lock(mutex);
  Fault& fault = faults[function];
  ++fault.calls;
  if (fault.times == 0) return {};
  --fault.times;
  return fault;
}

// Stands in for the module's function that `member` points at.
template <auto member, const char* name, typename... Arguments>
CK_RV intercepted(Arguments... arguments) {
  const Fault fault = next_fault(name);
  if (fault.result != CKR_OK && fault.when == 0) return fault.result;
  const CK_RV result = (softhsm->*member)(arguments...);
  return fault.result != CKR_OK ? fault.result : result;
}

CK_RV read_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* wanted,
                      CK_ULONG count) {
  const CK_RV result = softhsm->C_GetAttributeValue(session, object, wanted, count);
  for (CK_ULONG i = 0; weak && i < count; ++i)
    if (wanted[i].ulValueLen == sizeof(CK_BBOOL))
      *static_cast<CK_BBOOL*>(wanted[i].pValue) = CK_FALSE;
  return result;
}

template <auto member, const char* name, typename... Arguments>
void intercept(CK_RV (*CK_FUNCTION_LIST::*)(Arguments...)) {
  functions.*member = intercepted<member, name, Arguments...>;
}

#define INTERCEPT(function)                                                     \
  {                                                                             \
    static constexpr char kName[] = #function;                                  \
    intercept<&CK_FUNCTION_LIST::function, kName>(&CK_FUNCTION_LIST::function); \
  }

}  // namespace

extern "C" {

void bauta_fault(const char* function, CK_RV result, int times, int when) {
  std::lock_guard lock(mutex);
  faults[function] = {result, times, when, 0};
}

void bauta_weaken(bool on) {
  weak = on;
}

int bauta_calls(const char* function) {
  std::lock_guard lock(mutex);
  return faults[function].calls;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  const char* path = std::getenv("BAUTA_TEST_SOFTHSM");
  void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CKR_GENERAL_ERROR;
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  const CK_RV result = get(&softhsm);
  if (result != CKR_OK) return result;
  functions = *softhsm;
  INTERCEPT(C_Initialize)
  INTERCEPT(C_GetMechanismInfo)
  INTERCEPT(C_OpenSession)
  INTERCEPT(C_Login)
  INTERCEPT(C_FindObjects)
  INTERCEPT(C_GenerateKey)
  INTERCEPT(C_SignInit)
  INTERCEPT(C_Sign)
  INTERCEPT(C_DestroyObject)
  functions.C_GetAttributeValue = read_attributes;
  *list = &functions;
  return CKR_OK;
}
}
