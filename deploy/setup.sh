# shellcheck shell=bash
# What quickstart and run-tests share: checks, Debian packages, the build. Sourced with the project's root as the
# working directory; leaves a full log in $log.

export LC_ALL=C.UTF-8
log=build/setup.log

say() { printf '%s\n' "$*"; }

# fail SENTENCE...: says what is wrong and what to do, and ends the script.
fail() {
  printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# One run at a time in this folder, and a folder that can be written.
lock_build_folder() {
  mkdir -p build 2>/dev/null && [[ -w . && -w build ]] ||
    fail "$PWD/build cannot be written by $(id -un); run this as the owner of the folder, or remove build/."
  exec 9>build/.setup.lock || fail "$PWD/build belongs to another user; remove it, or run this as that user."
  flock -n 9 || { say "Another run is at work in this folder; waiting for it."; flock 9; }
  : >"$log"
}

# progress LABEL: reads lines "DONE TOTAL [OFFSET]"; one moving line on a terminal, a line per quarter elsewhere.
progress() {
  local label=$1 finished total offset percent quarter=0 drawn=
  while read -r finished total offset; do
    percent=$((100 * (finished + ${offset:-0}) / total))
    if [[ -t 1 ]]; then
      printf '\r  %-28s %3d %%' "$label" "$percent"
      drawn=1
    elif ((percent / 25 > quarter)); then
      quarter=$((percent / 25))
      printf '  %-28s %3d %%\n' "$label" "$((quarter * 25))"
    fi
  done
  [[ ! $drawn ]] || printf '\n'
}

# need_free_disk MB: on every file system that packages or the build are written to.
need_free_disk() {
  local free folder
  for folder in . /usr /var; do
    free=$(df -Pm "$folder" | awk 'NR == 2 {print $4}')
    ((free >= $1)) ||
      fail "only $free MB are free on the disk of $(realpath "$folder"), and $1 MB are needed; free some space and run this again."
  done
}

# missing_packages LIST...: those named in deploy/packages/LIST that are not installed, one a line.
missing_packages() {
  local wanted installed
  wanted=$(sed -E 's/[[:space:]]*(#.*)?$//; /^$/d' "${@/#/deploy/packages/}" | sort -u)
  # shellcheck disable=SC2086  # one word per package
  installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
    awk '$2 == "installed" {sub(":.*", "", $1); print $1}' | sort -u) || true
  comm -23 <(printf '%s\n' "$wanted") <(printf '%s\n' "$installed")
}

# Sets as_root to the words that run a command as root, proxy settings included.
find_root() {
  as_root=(env DEBIAN_FRONTEND=noninteractive)
  local name
  for name in http_proxy https_proxy no_proxy; do
    [[ ! ${!name:-} ]] || as_root+=("$name=${!name}")
  done
  ((EUID == 0)) && return
  command -v sudo >/dev/null ||
    fail "installing packages needs root, and there is no sudo here; run this as root once."
  if ! sudo -n true 2>/dev/null; then
    [[ -t 0 ]] && sudo -v || fail "installing packages needs root, and sudo does not let $(id -un) in; run this as root once."
  fi
  as_root=(sudo "${as_root[@]}")
}

check_system() {
  local ID=unknown VERSION_ID=0 PRETTY_NAME="this system"
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    fail "$PRETTY_NAME has no apt; bauta is built on Debian 12 or a system derived from it (deploy/packages lists what it needs)."
  if [[ $ID == debian ]]; then
    ((${VERSION_ID%%.*} >= 12)) || [[ $VERSION_ID == 0 ]] || fail "$PRETTY_NAME is too old; bauta needs Debian 12 or newer."
  else
    say "bauta is tested on Debian 12; trying on $PRETTY_NAME."
  fi
}

# install_packages LIST...: leaves apt alone when nothing is missing.
install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || { say "  all there"; return; }
  find_root
  local apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Dpkg::Use-Pty=0)
  # A failed update is no error yet: the lists at hand, or the other sources, may be enough.
  "${as_root[@]}" "${apt[@]}" update >>"$log" 2>&1 9>&- || true
  # apt makes its status descriptor non-blocking, so the packages' own output must not go there; sudo closes
  # descriptors above 2, so the two part only behind it.
  "${as_root[@]}" sh -c 'exec "$@" 3>&1 >>"$0" 2>&1' "$PWD/$log" \
    "${apt[@]}" install --no-install-recommends -o APT::Status-Fd=3 "${missing[@]}" 9>&- </dev/null |
    sed -Eun 's/^dlstatus:[0-9]+:([0-9]+)\..*/\1 200/p; s/^pmstatus:[^:]*(:[a-z0-9]+)?:([0-9]+)\..*/\2 200 100/p' |
    progress "${#missing[@]} packages and theirs" || explain_apt
}

# What tests/browser needs. Node and npm of another origin than Debian serve as well.
install_browser() {
  local list=(browser)
  if command -v node npm chromium >/dev/null; then list=(); fi
  ((${#list[@]} == 0)) || install_packages "${list[@]}"
  (cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund) >>"$log" 2>&1 9>&- </dev/null ||
    fail "npm could not install playwright-core; its last words are in $log. Behind a proxy with a certificate of its own, set NODE_EXTRA_CA_CERTS."
}

explain_apt() {
  if grep -qE 'Could not resolve|Temporary failure|Could not connect|Cannot initiate|Unable to connect|Failed to fetch|onnection (timed out|failed|refused)' "$log"; then
    fail "the Debian package mirror cannot be reached; check the network (or the proxy) and run this again. Details: $log"
  elif grep -q 'Could not get lock' "$log"; then
    fail "another program is installing packages; wait until it has ended and run this again."
  elif grep -qE 'Unable to locate package|no installation candidate' "$log"; then
    fail "$(grep -m1 -E 'Unable to locate package|no installation candidate' "$log" | sed 's/^E: //'); the apt sources must have Debian 12 main."
  fi
  fail "apt-get could not install the packages; its last words are below, all of them in $log"$'\n'"$(tail -n 5 "$log")"
}

# build PRESET TARGET [CMAKE OPTION...]
build() {
  local preset=$1 target=$2
  shift 2
  cmake --preset "$preset" "$@" >>"$log" 2>&1 9>&- ||
    fail "CMake could not configure the build; its last words are below, all of them in $log"$'\n'"$(grep -v '^$' "$log" | tail -n 8)"
  NINJA_STATUS='[%f/%t] ' cmake --build --preset "$preset" --target "$target" -j "$(nproc)" 2>&1 9>&- </dev/null | tee -a "$log" |
    sed -Eun 's/^\[([0-9]+)\/([0-9]+)\].*/\1 \2/p' | progress "$target" ||
    fail "the build failed; the first error is below, all of it in $log"$'\n'"$(grep -m1 -A5 -E 'error:|FAILED|undefined reference' "$log")"
}
