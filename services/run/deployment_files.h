// The files of a first start: directories, a configuration with a random API key, and certificates
// of a local authority.
#pragma once

#include <filesystem>

#include "services/run/config.h"

namespace bauta::run {

// Makes DATA/bauta.toml, and DATA/api-key with the key of its one API key and of the operators,
// unless the file is there. Ports stay the defaults. The integration platform serves three engines:
// this deployment itself, and two more with files of their own in DATA/engines/NAME, of which each
// has its own authority, keys, token (TOKEN-NAME) and ports.
Status create_default_config(const std::filesystem::path& file, const std::filesystem::path& token);

// Makes what the configuration names and is not there: the data directories of the roles, owned by
// the roles' users when this process is root's, and certificates, under a local authority in
// DATA/tls, for those that lie in DATA/tls.
Status create_missing_files(const Config& config);

// Whether each role could start, as far as files tell: names the first thing that is missing or
// wrong.
Status check_files(const Config& config);

}  // namespace bauta::run
