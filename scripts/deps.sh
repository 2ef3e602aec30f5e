# shellcheck shell=bash source=scripts/lib.sh disable=SC2154 # lib.sh sets root
# Finds, and where it may installs, what the scripts need. Sourced after lib.sh.

# need TOOL... returns when all are there. What is missing is installed by the
# system's package manager for root, or with a sudo that asks no password; else
# it is named, with the command to run. Go is only named, and then nothing is
# installed.
need() {
  local missing manager sudo=none
  missing=$(absent "$@")
  [ -n "$missing" ] || return 0
  manager=$(find_manager)
  if [ "$manager" = brew ] || [ "$(id -u)" = 0 ]; then
    sudo=
  elif sudo -n true 2>/dev/null; then
    sudo='sudo -n'
  fi
  if [ -n "$manager" ] && [ "$sudo" != none ] && [ "${missing%%$'\n'*}" != go ]; then
    install "$(packages "$manager" "$missing")"
    missing=$(absent "$@")
  fi
  [ -n "$missing" ] || return 0
  say "error: missing: ${missing//$'\n'/ }"
  if [ "${missing%%$'\n'*}" = go ]; then say "hint: install Go $(wanted_go) or later: https://go.dev/dl/"; fi
  local list
  list=$(packages "$manager" "$missing")
  if [ -n "$list" ]; then say "hint: run: $(advice "$manager") $list"; fi
  exit 1
}

# install PACKAGES is silent unless it fails.
install() {
  local log
  log=$(mktemp)
  say "installing with $manager: $1"
  # shellcheck disable=SC2086 # words
  if ! "install_$manager" $1 >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    say "$manager failed"
  fi
  rm -f "$log"
}

# packages MANAGER TOOLS is one line of what brings the tools.
packages() {
  local tool
  for tool in $2; do package "$1" "$tool"; done | tr ' ' '\n' | sort -u | paste -s -d ' ' -
}

# absent prints those tools that are not there, in the order asked for: go first.
absent() {
  local tool
  for tool; do present "$tool" || echo "$tool"; done
}

present() {
  case $1 in
    go) new_go ;;
    postgres) postgres_server ;;
    python:*) /usr/bin/python3 -c "import ${1#*:}" 2>/dev/null ;;
    ruby-pg) ruby -e 'require "pg"' 2>/dev/null ;;
    php-pgsql) php -r 'exit(function_exists("pg_connect") ? 0 : 1);' 2>/dev/null ;;
    bash-completion) [ -e /usr/share/bash-completion/bash_completion ] ;;
    aws) [ -x /usr/bin/aws ] ;;
    pgjdbc) [ -e /usr/share/java/postgresql.jar ] ;;
    ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
    chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null ;;
    cc) echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1 ;; # headers too
    *) command -v "$1" >/dev/null ;;
  esac
}

wanted_go() { sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$root/go.mod"; }

# new_go asks in the repository, where an older Go fetches the one of go.mod.
new_go() {
  local has want
  has=$(cd "$root" && go env GOVERSION 2>/dev/null) || return 1
  want=$(wanted_go)
  has=${has#go}
  [ "${has%%.*}" -gt "${want%%.*}" ] 2>/dev/null && return 0
  local minor=${has#*.}
  [ "${has%%.*}" = "${want%%.*}" ] && [ "${minor%%[!0-9]*}" -ge "${want#*.}" ]
}

# postgres_server looks where the local Lakebase looks.
postgres_server() {
  local dir
  for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
    /Applications/Postgres.app/Contents/Versions/*/bin "$(pg_config --bindir 2>/dev/null)"; do
    if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then return 0; fi
  done
  command -v initdb >/dev/null && command -v postgres >/dev/null
}

find_manager() {
  local m
  for m in apt-get dnf apk pacman brew; do
    if command -v "$m" >/dev/null; then echo "$m"; return; fi
  done
}

# package MANAGER TOOL prints the packages that bring it. apt-get's were tried;
# the others' are from their indexes.
package() {
  case $1:$2 in
    :* | *:go) ;;
    apt-get:postgres | apt-get:pgbench) echo postgresql ;;
    apt-get:psql | apt-get:pg_dump | apt-get:pg_restore) echo postgresql-client ;;
    apt-get:secret-tool) echo libsecret-tools ;;
    apt-get:python:ensurepip) echo python3-venv ;;
    apt-get:python:* | dnf:python:*) echo "python3-${2#*:}" ;;
    apt-get:php-pgsql) echo php-cli php-pgsql ;;
    apt-get:cc) echo gcc libc6-dev ;;
    apt-get:node) echo nodejs ;;
    apt-get:man) echo man-db ;;
    apt-get:ps | apt-get:pgrep) echo procps ;;
    apt-get:groff) echo groff-base ;;
    apt-get:aws) echo awscli ;;
    apt-get:kubectl) echo kubernetes-client ;;
    apt-get:pgjdbc) echo libpostgresql-jdbc-java ;;
    apt-get:javac) echo default-jdk-headless ;;
    apt-get:nix-hash | apt-get:nix-instantiate) echo nix-bin ;;
    apt-get:pacman) echo pacman-package-manager ;;
    apt-get:bsdtar) echo libarchive-tools ;;
    apt-get:systemd-analyze) echo systemd ;;
    apt-get:wine) echo wine wine64 ;;
    apt-get:x86_64-w64-mingw32-gcc) echo gcc-mingw-w64-x86-64-win32 ;;
    apt-get:col) echo bsdextrautils ;;
    dnf:postgres) echo postgresql-server ;;
    dnf:psql | dnf:pg_dump | dnf:pg_restore) echo postgresql ;;
    dnf:pgbench) echo postgresql-contrib ;;
    dnf:dbus-daemon) echo dbus-daemon ;;
    dnf:secret-tool) echo libsecret ;;
    dnf:ruby-pg) echo rubygem-pg ;;
    dnf:php-pgsql) echo php-cli php-pgsql ;;
    dnf:cc) echo gcc glibc-devel ;;
    dnf:ps) echo procps-ng ;;
    dnf:shellcheck) echo ShellCheck ;;
    dnf:prometheus) echo golang-github-prometheus ;;
    dnf:node | dnf:npm) echo nodejs-npm ;;
    apk:postgres) echo postgresql ;;
    apk:psql | apk:pg_dump | apk:pg_restore) echo postgresql-client ;;
    apk:pgbench) echo postgresql-contrib ;;
    apk:secret-tool) echo libsecret ;;
    apk:python:*) echo "py3-${2#*:}" ;;
    apk:cc) echo gcc musl-dev ;;
    apk:node) echo nodejs ;;
    apk:ps) echo procps ;;
    pacman:postgres | pacman:pgbench) echo postgresql ;;
    pacman:psql | pacman:pg_dump | pacman:pg_restore) echo postgresql-libs ;;
    pacman:secret-tool) echo libsecret ;;
    pacman:python:*) echo "python-${2#*:}" ;;
    pacman:cc) echo gcc ;;
    pacman:node) echo nodejs ;;
    pacman:ps) echo procps-ng ;;
    brew:postgres | brew:psql | brew:pg_dump | brew:pg_restore | brew:pgbench) echo postgresql@17 ;;
    brew:node | brew:npm) echo node ;;
    brew:jq) echo jq ;;
    brew:*) ;;
    *:dot) echo graphviz ;;
    *:man) echo man-db ;;
    *:setpriv) echo util-linux ;;
    *:keyctl) echo keyutils ;;
    *:dbus-daemon) echo dbus ;;
    *:gnome-keyring-daemon) echo gnome-keyring ;;
    *) echo "$2" ;;
  esac
}

advice() {
  case $1 in
    apt-get) echo sudo apt-get install ;;
    dnf) echo sudo dnf install ;;
    apk) echo apk add ;;
    pacman) echo sudo pacman -S ;;
    brew) echo brew install ;;
    *) echo "install, by your system's means:" ;;
  esac
}

# shellcheck disable=SC2086,SC2154 # $sudo is words, and need's
install_dnf() { $sudo dnf install -y --setopt=install_weak_deps=False "$@"; }
# shellcheck disable=SC2086
install_apk() { $sudo apk add --no-cache "$@"; }
# shellcheck disable=SC2086
install_pacman() { $sudo pacman -Sy --noconfirm --needed "$@"; }
install_brew() { brew install "$@"; }

# Debian's postgresql package makes a cluster and starts it at boot, and its
# pgbouncer and prometheus are services. We want the programs alone, so that for the time of the
# install Debian's own settings say no; clusters and services that are there, and
# later ones, are not touched.
# shellcheck disable=SC2086
install_apt-get() (
  conf=/etc/postgresql-common/createcluster.d/zz-lakebase-exec.conf
  policy='' services='' service=''
  for service in pgbouncer prometheus; do
    case " $* " in *" $service "*) services="$services $service" ;; esac
  done
  made=
  [ -d "${conf%/*}" ] || made=${conf%/*}
  $sudo mkdir -p "${conf%/*}"
  # It is asked whether a service may be started. Containers have one that says no.
  if [ -n "$services" ] && [ ! -e /usr/sbin/policy-rc.d ]; then policy=/usr/sbin/policy-rc.d; fi
  # shellcheck disable=SC2064 # now
  trap "$sudo rm -f $conf $policy; [ -z '$made' ] || $sudo rmdir '$made' || true" EXIT
  echo 'create_main_cluster = false' | $sudo tee "$conf"
  if [ -n "$policy" ]; then
    printf '#!/bin/sh\ncase "$*" in *pgbouncer* | *prometheus*) exit 101 ;; esac\n' | $sudo tee "$policy"
    $sudo chmod 755 "$policy"
  fi
  if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -mtime -1 2>/dev/null | head -n 1)" ]; then
    $sudo apt-get update -qq || echo "apt-get update failed; going on with the lists that are there"
  fi
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || exit
  for service in $services; do $sudo update-rc.d "$service" disable || exit; done # nor at boot
)
