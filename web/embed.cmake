# Writes OUT, the C++ that defines web::find_asset() over FILES.
set(types_html "text/html; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(arrays "")
set(table "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 extension)
  string(MAKE_C_IDENTIFIER ${name} symbol)
  set(path "/${name}")
  if(name STREQUAL "registration.html")
    set(path "/")
  elseif(name STREQUAL "operator.html")
    set(path "/operator")
  endif()
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "const unsigned char ${symbol}[] = {${bytes}};\n")
  string(APPEND table "      {\"${path}\", \"${types_${extension}}\", std::string(std::begin(${symbol}), std::end(${symbol}))},\n")
endforeach()
file(WRITE ${OUT} "// Generated from web/.
#include \"web/assets.h\"

#include <array>
#include <iterator>

namespace bauta::web {
namespace {

${arrays}
}  // namespace

const Asset* find_asset(const std::string& path) {
  static const std::array assets{std::to_array<Asset>({
${table}  })};
  for (const Asset& asset : assets)
    if (path == asset.path) return &asset;
  return nullptr;
}

}  // namespace bauta::web
")
