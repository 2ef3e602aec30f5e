# shellcheck shell=bash
# Functions that the scripts share. It is sourced, not run.

program=scripts/$(basename "$0")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=        # this run's private directory, removed at the end
background=() # pids started by start_lakebase and start_keychain

# A bare environment has no PATH, and a fresh shell may lack Go's directory.
export PATH="${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/go/bin:/opt/homebrew/bin:/usr/sbin:/sbin"

say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# begin creates $work (in $work_parent if set) and a writable HOME if there is none, and
# unsets the variables that affect the programs, libpq or the keychain.
begin() {
  trap finish EXIT # runs after INT, TERM and HUP too
  work=$(mktemp -d "${work_parent:-${TMPDIR:-/tmp}}/lakebase.XXXXXX")
  if [ -z "${HOME:-}" ]; then HOME=~; fi # the account's, from the password file
  if ! mkdir -p "$HOME" 2>/dev/null || [ ! -w "$HOME" ]; then
    HOME=$work/home
    mkdir "$HOME"
    export GOFLAGS="${GOFLAGS:-} -modcacherw" # or it could not be removed
  fi
  export HOME
  # Go's directories stay the same when HOME and XDG_* change below.
  GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE) GOENV=$(go env GOENV)
  export GOCACHE GOMODCACHE GOENV GOTMPDIR=$work/go # a go that is killed leaves files
  mkdir "$GOTMPDIR"
  local name
  while read -r name; do
    case $name in
      PG* | DATABRICKS_* | LAKEBASE_* | LOCAL_LAKEBASE_* | ENDPOINT_NAME | ARM_* | ACTIONS_ID_TOKEN_* | DBUS_* | GNOME_KEYRING_* | XDG_* | \
        RUNTIME_DIRECTORY | CREDENTIALS_DIRECTORY) unset "$name" ;;
    esac
  done < <(compgen -e)
}

# tracked runs a command and records its pid for finish: a signal may end only this
# script, while its foreground command runs on.
tracked() {
  local code=0
  # shellcheck disable=SC2016 # expanded there
  sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$work/front.pid" "$@" || code=$?
  rm -f "$work/front.pid"
  return "$code"
}

# finish ends what was started and removes $work.
finish() {
  trap '' INT TERM HUP
  [ -n "$work" ] || return 0
  if [ -s "$work/front.pid" ]; then end_within 5 "$(cat "$work/front.pid")" TERM; fi
  if declare -F on_exit >/dev/null; then on_exit; fi
  if [ -n "${logout:-}" ]; then in_target "$root/bin/lakebase-credential-helper" logout || true; fi
  exec 9>&- # the end of their standard input ends the others
  local pid
  for pid in ${background[@]+"${background[@]}"}; do end_within 15 "$pid"; done
  rm -rf "$work" 2>/dev/null || { sleep 1 && rm -rf "$work"; } # a compiler may still write there
}

# end_within SECONDS PID [SIGNAL] sends the signal, waits, and kills at last.
end_within() {
  local i
  if [ -n "${3:-}" ]; then kill -s "$3" "$2" 2>/dev/null || return 0; fi
  for ((i = 0; i < $1 * 20; i++)); do
    kill -0 "$2" 2>/dev/null || return 0
    sleep 0.05
  done
  kill -KILL "$2" 2>/dev/null || true
}

# version prints the version that --version shows: git describe, or the newest version
# of the CHANGELOG; commit prints the commit, if there is one.
version() {
  { git -C "$root" describe --tags --always --dirty 2>/dev/null ||
    sed -n 's/^## \[\{0,1\}\([0-9][0-9A-Za-z.+-]*\).*/\1/p' "$root/CHANGELOG.md" 2>/dev/null | head -n 1; } | sed 's/^v//'
}
commit() { git -C "$root" rev-parse HEAD 2>/dev/null || true; }

# build DIR builds both programs for GOOS and GOARCH, with the flags of .goreleaser.yaml.
build() {
  local cli=github.com/lakebase-exec/lakebase-exec/cmd/internal/cli
  # -buildvcs=false: git refuses a directory of another owner, and go with it. The
  # tag leaves out urfave's man page generator, whose initialization costs 0.5 ms.
  (cd "$root" && CGO_ENABLED=0 tracked go build -trimpath -buildvcs=false -tags urfave_cli_no_docs -o "$1/" \
    -ldflags "-s -w -X $cli.version=$(version) -X $cli.commit=$(commit)" \
    ./cmd/lakebase-exec ./cmd/lakebase-credential-helper)
}

# build_tools PACKAGE... builds tools for this run into $work/tools.
build_tools() {
  (cd "$root" && CGO_ENABLED=0 tracked go build -trimpath -buildvcs=false -o "$work/tools/" "$@")
}

# start_lakebase OPTION... starts the local Lakebase. Only a file holds its secret;
# store_secret deletes it.
start_lakebase() {
  [ -p "$work/alive" ] || mkfifo -m 600 "$work/alive"
  exec 9<>"$work/alive"
  detached "$work/tools/local-lakebase" --stdin --without-secret --secret-file "$work/secret" --env-file "$work/lakebase.env" "$@" \
    <"$work/alive" >"$work/lakebase.out" 2>"$work/lakebase.err" 9>&- &
  background+=($!)
  wait_for "the local Lakebase" $! "$work/lakebase" '^# ready'
}

# start_keychain starts a session bus with an unlocked gnome-keyring, also on a
# desktop: the user's keyring is not touched.
start_keychain() {
  mkdir -p "$work/home/run"
  # shellcheck disable=SC2016 # expanded there
  HOME=$work/home XDG_RUNTIME_DIR=$work/home/run detached dbus-run-session -- sh -c '
    printf lakebase | gnome-keyring-daemon --unlock --components=secrets >/dev/null &&
    printf "%s\n" "$DBUS_SESSION_BUS_ADDRESS"; exec cat >/dev/null' \
    <"$work/alive" >"$work/bus.out" 2>"$work/bus.err" 9>&- &
  background+=($!)
  wait_for "the private keychain" $! "$work/bus" .
}

# detached runs a program that the terminal's Ctrl-C does not reach. macOS has no setsid.
detached() {
  if command -v setsid >/dev/null; then exec setsid "$@"; fi
  exec perl -e 'setpgrp; exec @ARGV or die' "$@"
}

# wait_for WHAT PID BASE PATTERN waits until BASE.out holds the pattern.
wait_for() {
  local i
  for ((i = 0; i < 1200; i++)); do
    if grep -q "$4" "$3.out" 2>/dev/null; then return 0; fi
    kill -0 "$2" 2>/dev/null || break
    sleep 0.05
  done
  cat "$3.err" >&2 || true
  die "$1 did not start"
}

# target_environment sets the variables of the local Lakebase, except the secret, and
# those of the private keychain.
target_environment() {
  # shellcheck source=/dev/null
  . "$work/lakebase.env"
  export XDG_CONFIG_HOME="$work/home/config" PATH="$root/bin:$PATH"
  if [ -s "$work/bus.out" ]; then
    # On macOS, HOME selects the user's keychain and stays the same.
    export HOME="$work/home" XDG_RUNTIME_DIR="$work/home/run"
    DBUS_SESSION_BUS_ADDRESS=$(cat "$work/bus.out")
    export DBUS_SESSION_BUS_ADDRESS
  fi
}

# in_target runs a command in that environment, in a subshell.
in_target() (
  target_environment
  exec 9>&-
  tracked "$@"
)

# store_secret stores the secret in the keychain and deletes its file: the secret is
# never an argument or in an environment.
store_secret() {
  if [ ! -s "$work/bus.out" ]; then logout=1; fi # a real keychain, cleared at the end
  in_target "$root/bin/lakebase-credential-helper" login --secret-file "$work/secret"
  rm -f "$work/secret"
}

# can_execute_in reports whether programs can run from a directory: containers mount
# /dev/shm noexec.
can_execute_in() {
  local try code=0
  try=$(mktemp "$1/lakebase.XXXXXX") || return 1
  printf '#!/bin/sh\n' >"$try"
  chmod 700 "$try"
  "$try" 2>/dev/null || code=1
  rm -f "$try"
  return "$code"
}
