#include "services/run/config.h"

#include <algorithm>
#include <span>
#include <variant>

#include <toml++/toml.h>

#include "base/bytes.h"
#include "base/file.h"
#include "services/transport/address.h"

namespace bauta::run {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFile_bytes = size_t{1} << 20;

struct Number {
  int64_t* value;
  int64_t least, most;
};
struct Address {
  std::string* value;
  bool optional = false;
};
using Target =
    std::variant<std::string*, fs::path*, Number, Address, LogLevel*, std::vector<std::string>*>;

constexpr std::pair<const char*, LogLevel> kLogLevels[] = {
    {"requests", LogLevel::requests}, {"errors", LogLevel::errors}, {"none", LogLevel::none}};

// One place for an option's name, meaning and bounds.
struct Option {
  const char* section;
  const char* name;
  Target target;
  const char* meaning;
};

std::vector<Option> options_of(Config& c) {
  return {
      {"common", "data", &c.data,
       "Everything that the parties keep, each in a directory of its own, but the key token."},
      {"common", "token", &c.token,
       "The embedded key token. Keep it outside `data` and its backups."},
      {"common", "drain_timeout_ms", Number{&c.drain_timeout_ms, 0, 600'000},
       "How long requests at work may take to end after SIGTERM."},

      {"common", "log", &c.log,
       "A JSON line on stderr for each request (requests), for those that failed (errors), or "
       "none."},
      {"key", "listen", Address{&c.key.listen},
       "Where the key service listens (gRPC, mutual TLS)."},
      {"key", "authority", &c.key.tls.authority, "Whose certificates it accepts."},
      {"key", "certificate", &c.key.tls.certificate, "Its certificate, for the name `key`."},
      {"key", "private_key", &c.key.tls.private_key, "Readable by its owner only."},
      {"key", "user", &c.key.user,
       "User to run as when started as root; empty: no change. The same below."},
      {"key", "metrics_listen", Address{&c.key.metrics_listen, true},
       "Where it shows metrics for Prometheus, in plain HTTP; empty: nowhere."},
      {"key", "tenants", &c.key.tenants, "Tenants that are given a first key when they have none."},
      {"key", "linked_galleries", &c.key.linked_galleries,
       "Galleries on which the linkage server, if its certificate was made here, may do everything "
       "at first; 'bauta grants' changes that."},

      {"auth", "listen", Address{&c.auth.listen},
       "Where the authentication server listens (gRPC, mutual TLS)."},
      {"auth", "authority", &c.auth.tls.authority,
       "Whose certificates it accepts, edges' and the key service's."},
      {"auth", "certificate", &c.auth.tls.certificate, "Its certificate, for the name `auth`."},
      {"auth", "private_key", &c.auth.tls.private_key, "Readable by its owner only."},
      {"auth", "user", &c.auth.user, "A user that cannot read the key service's files."},
      {"auth", "metrics_listen", Address{&c.auth.metrics_listen, true},
       "Where it shows metrics for Prometheus, in plain HTTP; empty: nowhere."},
      {"auth", "key_service", Address{&c.auth.key_service}, "Where the key service is."},
      {"auth", "threads", Number{&c.auth.threads, 0, 1024},
       "Threads of a search; 0: one for each processor."},
      {"auth", "networks", &c.auth.networks,
       "Networks that run on encrypted images: patchnet, or .bnet files. Empty: no image mode."},
      {"auth", "image_requests", Number{&c.auth.image_requests, 1, 256},
       "Requests with encrypted images at a time; more are answered as busy."},

      {"edge", "listen", Address{&c.edge.listen}, "Where devices reach the edge (HTTPS)."},
      {"edge", "id", &c.edge.id, "The name of this edge, as in its certificate."},
      {"edge", "authority", &c.edge.tls.authority, "Whose certificates the servers must have."},
      {"edge", "certificate", &c.edge.tls.certificate, "Shown to the servers, for the name `id`."},
      {"edge", "private_key", &c.edge.tls.private_key, "Readable by its owner only."},
      {"edge", "https_certificate", &c.edge.https_certificate,
       "Shown to devices; with intermediate certificates."},
      {"edge", "https_private_key", &c.edge.https_private_key, "Readable by its owner only."},
      {"edge", "user", &c.edge.user, "User to run as."},
      {"edge", "metrics_listen", Address{&c.edge.metrics_listen, true},
       "Where it shows metrics for Prometheus, in plain HTTP; empty: nowhere."},
      {"edge", "auth_service", Address{&c.edge.auth_service},
       "Where the authentication server is."},
      {"edge", "key_service", Address{&c.edge.key_service},
       "Where the key service is: it delivers this edge's own key, once."},
      {"edge", "tenant", &c.edge.tenant, "Tenant whose key new galleries are under."},
      {"edge", "engine", &c.edge.engine,
       "Feature extractor: patchnet, classic, or the file that describes a network."},
      {"edge", "detector", &c.edge.detector,
       "Face detector: haar5, haar, yunet, or the ONNX file of YuNet."},
      {"edge", "max_body_bytes", Number{&c.edge.max_body_bytes, 1024, int64_t{1} << 28},
       "Largest request body; more is answered 413."},
      {"edge", "max_images", Number{&c.edge.max_images, 1, 256}, "Most images in one request."},
      {"edge", "max_connections", Number{&c.edge.max_connections, 1, 4096},
       "Most connections at a time; more are answered 503."},
      {"edge", "max_waiting", Number{&c.edge.max_waiting, 0, 4096},
       "Requests that may wait for a processor; more are answered 503."},
      {"edge", "request_timeout_ms", Number{&c.edge.request_timeout_ms, 1000, 600'000},
       "How long a request may take to arrive, and then to be answered."},
      {"edge", "webhook_url", &c.edge.webhook_url,
       "Where every decision is told by a signed POST: https://HOST/PATH, or http:// on this "
       "machine; empty: nowhere."},
      {"edge", "webhook_secret", &c.edge.webhook_secret,
       "What it is signed with: 16 to 4,096 bytes, readable by its owner only."},
      {"edge", "webhook_authority", &c.edge.webhook_authority,
       "Whose certificate the receiver must have."},

      {"storage", "listen", Address{&c.storage.listen},
       "Where the storage server listens (gRPC, mutual TLS)."},
      {"storage", "authority", &c.storage.tls.authority, "Whose certificates it accepts."},
      {"storage", "certificate", &c.storage.tls.certificate,
       "Its certificate, for the name `storage`."},
      {"storage", "private_key", &c.storage.tls.private_key, "Readable by its owner only."},
      {"storage", "user", &c.storage.user, "User to run as."},
      {"storage", "metrics_listen", Address{&c.storage.metrics_listen, true},
       "Where it shows metrics for Prometheus, in plain HTTP; empty: nowhere."},

      {"linkage", "listen", Address{&c.linkage.listen},
       "Where phones and operators reach the linkage server (HTTPS)."},
      {"linkage", "authority", &c.linkage.tls.authority,
       "Whose certificate the storage server must have."},
      {"linkage", "certificate", &c.linkage.tls.certificate,
       "Shown to the storage server, for the name `linkage`."},
      {"linkage", "private_key", &c.linkage.tls.private_key, "Readable by its owner only."},
      {"linkage", "https_certificate", &c.linkage.https_certificate,
       "Shown to phones; with intermediate certificates."},
      {"linkage", "https_private_key", &c.linkage.https_private_key, "Readable by its owner only."},
      {"linkage", "user", &c.linkage.user, "User to run as."},
      {"linkage", "metrics_listen", Address{&c.linkage.metrics_listen, true},
       "Where it shows metrics for Prometheus, in plain HTTP; empty: nowhere."},
      {"linkage", "storage_service", Address{&c.linkage.storage_service},
       "Where the storage server is."},
      {"linkage", "token", &c.linkage.token,
       "Its own key token, for packages and receipts; never the key service's."},
      {"linkage", "public_url", &c.linkage.public_url, "How phones reach it; stands in QR codes."},
      {"linkage", "detector", &c.linkage.detector, "Face detector, as for the edge."},
      {"linkage", "operator_key_sha256", &c.linkage.operator_key_sha256,
       "Digest of the operators' API key, as for edge.api_keys; empty: no operators' interface."},
      {"linkage", "collect_interval_ms", Number{&c.linkage.collect_interval_ms, 100, 3'600'000},
       "How often the engines' logs and response times are collected."},
      {"linkage", "backup_interval_s", Number{&c.linkage.backup_interval_s, 0, 31'536'000},
       "Galleries are backed up when their newest backup is older than this; 0: only on demand."},
      {"linkage", "backups_kept", Number{&c.linkage.backups_kept, 1, 1'000},
       "Backups of each gallery that are kept; older ones are deleted."},
      {"linkage", "max_body_bytes", Number{&c.linkage.max_body_bytes, 1024, int64_t{1} << 26},
       "Largest request body; more is answered 413."},
  };
}

// Of one table of linkage.engines.
std::vector<Option> options_of(LinkedEngine& e) {
  return {
      {"linkage.engines", "name", &e.name, "In logs and receipts."},
      {"linkage.engines", "title", &e.title, "For persons."},
      {"linkage.engines", "purposes", &e.purposes, "Each is a gallery of that name."},
      {"linkage.engines", "config", &e.config,
       "The engine's own bauta.toml, when `bauta serve` shall run it here too."},
      {"linkage.engines", "auth_service", Address{&e.auth_service},
       "Where its authentication server is."},
      {"linkage.engines", "key_service", Address{&e.key_service}, "Where its key service is."},
      {"linkage.engines", "edge_metrics", Address{&e.edge_metrics, true},
       "Where its edge shows metrics, for the operators' page; empty: no response times there."},
      {"linkage.engines", "authority", &e.tls.authority, "Whose certificates its servers have."},
      {"linkage.engines", "certificate", &e.tls.certificate,
       "Of that authority, for the name `linkage`."},
      {"linkage.engines", "private_key", &e.tls.private_key, "Readable by its owner only."},
      {"linkage.engines", "tenant", &e.tenant, "Tenant whose key new galleries are under."},
      {"linkage.engines", "engine", &e.engine, "Feature extractor, as for the edge."},
  };
}

// Reads values and remembers the first thing that is wrong, with its line.
class Reader {
 public:
  Reader(const fs::path& file, const toml::table& root) : file_(file), root_(root) {}

  Status read(Config& config) {
    const std::vector<Option> options = options_of(config);
    BAUTA_CHECK(refuse_unknown(options));
    for (const Option& option : options)
      if (const toml::node* node = root_[option.section][option.name].node())
        BAUTA_CHECK(read_option(option, *node));
    if (const toml::node* node = root_["edge"]["api_keys"].node())
      BAUTA_CHECK(read_api_keys(*node, config.edge.api_keys));
    if (const toml::node* node = root_["linkage"]["engines"].node())
      BAUTA_CHECK(read_engines(*node, config.linkage.engines));
    if (const toml::node* node = root_["linkage"]["operator_key_sha256"].node())
      BAUTA_CHECK(check_digest(*node, config.linkage.operator_key_sha256));
    return {};
  }

 private:
  Error wrong(const toml::node& node, const std::string& what) const {
    return make_error(ErrorCode::invalid_argument, "{}, line {}: {}", file_.string(),
                      node.source().begin.line, what);
  }

  Status refuse_unknown(const std::vector<Option>& options) const {
    for (const auto& [section, node] : root_) {
      const auto in_section = [&section = section](const Option& o) {
        return section.str() == o.section;
      };
      const toml::table* table = node.as_table();
      if (table == nullptr || std::none_of(options.begin(), options.end(), in_section))
        return wrong(node, fmt::format("there is no section [{}]", section.str()));
      for (const auto& [name, value] : *table) {
        const auto named = [&in_section, &name = name](const Option& o) {
          return in_section(o) && name.str() == o.name;
        };
        const bool list = (section.str() == "edge" && name.str() == "api_keys") ||
                          (section.str() == "linkage" && name.str() == "engines");
        if (!list && std::none_of(options.begin(), options.end(), named))
          return wrong(value,
                       fmt::format("there is no option {} in [{}]", name.str(), section.str()));
      }
    }
    return {};
  }

  Status read_option(const Option& option, const toml::node& node) const {
    const auto must_be = [&](const std::string& kind) {
      return wrong(node, fmt::format("{}.{} should be {}", option.section, option.name, kind));
    };
    const auto text = node.value<std::string>();
    if (const auto* string = std::get_if<std::string*>(&option.target)) {
      if (!text) return must_be("a text");
      **string = *text;
    } else if (const auto* path = std::get_if<fs::path*>(&option.target)) {
      if (!text || text->empty()) return must_be("a path");
      **path = *text;
    } else if (const auto* address = std::get_if<Address>(&option.target)) {
      if (!text || !(transport::parse_address(*text) || (address->optional && text->empty())))
        return must_be("an address like \"127.0.0.1:8443\"");
      *address->value = *text;
    } else if (const auto* number = std::get_if<Number>(&option.target)) {
      const auto value = node.value_exact<int64_t>();
      if (!value || *value < number->least || *value > number->most)
        return must_be(fmt::format("a whole number from {} to {}", number->least, number->most));
      *number->value = *value;
    } else if (LogLevel* const* level = std::get_if<LogLevel*>(&option.target)) {
      const auto* known = std::find_if(std::begin(kLogLevels), std::end(kLogLevels),
                                       [&](const auto& entry) { return text == entry.first; });
      if (known == std::end(kLogLevels)) return must_be("requests, errors or none");
      **level = known->second;
    } else {
      const toml::array* array = node.as_array();
      if (array == nullptr) return must_be("a list of texts");
      std::vector<std::string>& texts = *std::get<std::vector<std::string>*>(option.target);
      texts.clear();
      for (const toml::node& element : *array) {
        const auto value = element.value<std::string>();
        if (!value) return must_be("a list of texts");
        texts.push_back(*value);
      }
    }
    return {};
  }

  Status check_digest(const toml::node& node, const std::string& digest) const {
    const Result<Bytes> bytes = from_hex(digest);
    if (digest.empty() || (bytes.ok() && bytes->size() == sizeof(Digest))) return {};
    return wrong(node, "linkage.operator_key_sha256 should have 64 hexadecimal digits");
  }

  Status read_engines(const toml::node& node, std::vector<LinkedEngine>& engines) const {
    const toml::array* array = node.as_array();
    if (array == nullptr)
      return wrong(node, "linkage.engines should be [[linkage.engines]] tables");
    for (const toml::node& element : *array) {
      const toml::table* table = element.as_table();
      if (table == nullptr) return wrong(element, "an engine is a table");
      LinkedEngine engine;
      const std::vector<Option> options = options_of(engine);
      for (const auto& [name, value] : *table) {
        const auto option = std::ranges::find_if(
            options, [&name = name](const Option& o) { return name.str() == o.name; });
        if (option == options.end())
          return wrong(value, fmt::format("there is no option {} of an engine", name.str()));
        BAUTA_CHECK(read_option(*option, value));
      }
      if (engine.name.empty() || engine.purposes.empty() || engine.auth_service.empty() ||
          engine.key_service.empty() || engine.tls.authority.empty() ||
          engine.tls.certificate.empty() || engine.tls.private_key.empty())
        return wrong(element,
                     "an engine needs a name, purposes, auth_service, key_service, authority, "
                     "certificate and private_key");
      for (const LinkedEngine& other : engines)
        if (other.name == engine.name)
          return wrong(element, fmt::format("two engines have the name '{}'", engine.name));
      if (engine.title.empty()) engine.title = engine.name;
      engines.push_back(std::move(engine));
    }
    return {};
  }

  Status read_api_keys(const toml::node& node, std::vector<ApiKey>& keys) const {
    const toml::array* array = node.as_array();
    if (array == nullptr) return wrong(node, "edge.api_keys should be [[edge.api_keys]] tables");
    for (const toml::node& element : *array) {
      const toml::table* table = element.as_table();
      if (table == nullptr || table->size() != 3)
        return wrong(element, "an API key has a name, a role and a sha256");
      ApiKey key{
          (*table)["name"].value_or(std::string()), (*table)["role"].value_or(std::string()), {}};
      const Result<Bytes> digest = from_hex((*table)["sha256"].value_or(std::string()));
      if (key.name.empty()) return wrong(element, "an API key needs a name");
      for (const ApiKey& other : keys)
        if (other.name == key.name)
          return wrong(element, fmt::format("two API keys have the name '{}'", key.name));
      if (key.role != "recognise" && key.role != "enrol" && key.role != "admin")
        return wrong(element, fmt::format("the role of API key '{}' should be recognise, enrol or "
                                          "admin",
                                          key.name));
      if (!digest.ok() || digest->size() != key.sha256.size())
        return wrong(element, fmt::format("the sha256 of API key '{}' should have 64 hexadecimal "
                                          "digits",
                                          key.name));
      std::copy(digest->begin(), digest->end(), key.sha256.begin());
      keys.push_back(std::move(key));
    }
    return {};
  }

  const fs::path& file_;
  const toml::table& root_;
};

void make_absolute(const std::vector<Option>& options, const fs::path& directory) {
  for (const Option& option : options)
    if (const auto* path = std::get_if<fs::path*>(&option.target);
        path != nullptr && !(*path)->empty())
      **path = (directory / **path).lexically_normal();
}

std::string toml_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string to_toml(const Target& target) {
  if (const auto* string = std::get_if<std::string*>(&target)) return toml_text(**string);
  if (const auto* path = std::get_if<fs::path*>(&target)) return toml_text((*path)->string());
  if (const auto* address = std::get_if<Address>(&target)) return toml_text(*address->value);
  if (const auto* number = std::get_if<Number>(&target)) return std::to_string(*number->value);
  if (LogLevel* const* level = std::get_if<LogLevel*>(&target)) {
    for (const auto& [name, value] : kLogLevels)
      if (value == **level) return toml_text(name);
  }
  std::string list;
  for (const std::string& text : *std::get<std::vector<std::string>*>(target)) {
    if (!list.empty()) list += ", ";
    list += toml_text(text);
  }
  return fmt::format("[{}]", list);
}

// What a table of an engine may hold.
std::string commented_engine() {
  LinkedEngine engine;
  std::string text = "# [[linkage.engines]]\n";
  for (const Option& option : options_of(engine))
    text += fmt::format("# {} = {}    # {}\n", option.name, to_toml(option.target), option.meaning);
  return text;
}

}  // namespace

Result<Config> read_config(const fs::path& file) {
  BAUTA_TRY(const Bytes bytes, read_file(file, kMaxFile_bytes));
  Config config;
  try {
    const toml::table root = toml::parse(as_text(bytes), file.string());
    BAUTA_CHECK(Reader(file, root).read(config));
  } catch (const toml::parse_error& error) {
    return make_error(ErrorCode::invalid_argument, "{}, line {}: {}", file.string(),
                      error.source().begin.line, error.description());
  }
  const fs::path directory = fs::absolute(file).parent_path();
  make_absolute(options_of(config), directory);
  for (LinkedEngine& engine : config.linkage.engines) make_absolute(options_of(engine), directory);
  return config;
}

std::vector<std::string> linked_galleries(const Config& config) {
  std::vector<std::string> galleries;
  for (const LinkedEngine& engine : config.linkage.engines)
    if (engine.config.empty() && engine.key_service == config.key.listen)
      galleries.insert(galleries.end(), engine.purposes.begin(), engine.purposes.end());
  return galleries.empty() ? config.key.linked_galleries : galleries;
}

std::string to_toml(const Config& config) {
  Config copy = config;
  std::string text =
      "# Configuration of bauta. Paths are relative to this file; what is left out has the value "
      "below.\n";
  std::string section;
  for (const Option& option : options_of(copy)) {
    if (section != option.section) text += fmt::format("\n[{}]\n", section = option.section);
    text += fmt::format("# {}\n{} = {}\n", option.meaning, option.name, to_toml(option.target));
  }
  text +=
      "\n# Who may use the edge: a name, a role (recognise; enrol, which may recognise too; admin, "
      "which may do all), and the\n# digest of the key: printf %s KEY | sha256sum\n";
  for (const ApiKey& key : config.edge.api_keys)
    text += fmt::format("[[edge.api_keys]]\nname = {}\nrole = {}\nsha256 = {}\n",
                        toml_text(key.name), toml_text(key.role), toml_text(to_hex(key.sha256)));
  text +=
      "\n# The engines that persons may opt in to. With one or more, `bauta serve` also runs the "
      "storage and the linkage server.\n";
  if (copy.linkage.engines.empty()) text += commented_engine();
  for (LinkedEngine& engine : copy.linkage.engines) {
    text += "[[linkage.engines]]\n";
    for (const Option& option : options_of(engine))
      if (const auto* path = std::get_if<fs::path*>(&option.target);
          path == nullptr || !(*path)->empty())
        text += fmt::format("{} = {}\n", option.name, to_toml(option.target));
  }
  return text;
}

}  // namespace bauta::run
