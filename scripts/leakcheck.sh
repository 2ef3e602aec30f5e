# shellcheck shell=bash source=scripts/lib.sh disable=SC2154 # work and keyrings are set elsewhere
# Finds what a test run left behind. Sourced after lib.sh.

# nothing_left fails, naming each, when a process of the tests is still there, or
# a file. All that tests start has this run's folder in its environment (TMPDIR)
# or its arguments, daemons included; a test's own folder may be in GOTMPDIR.
nothing_left() {
  local i processes files
  for ((i = 0; i < 50; i++)); do # what was killed a moment ago may take one
    processes=$(ours)
    [ -n "$processes" ] || break
    sleep 0.1
  done
  files=$(find "$work/tmp" -mindepth 1 -maxdepth 1)
  if [ -n "$processes" ]; then say "error: processes are left:"$'\n'"$processes"; fi
  if [ -n "$files" ]; then say "error: files are left:"$'\n'"$(find "$work/tmp" -mindepth 1 -maxdepth 3 | head -n 20)"; fi
  [ -z "$processes$files" ]
}

# end_ours is for finish: a go test that is ended by a signal leaves its tests
# running, who end their daemons by the kernel's help.
end_ours() {
  local pid
  for pid in $(ours | cut -d ' ' -f 1); do end_within 2 "$pid" TERM; done
}

# ours prints pid and command of each process. The pattern is given on standard
# input and the environment is empty, or grep would find itself.
ours() {
  local pid
  [ -d /proc/self ] || return 0
  for pid in $(env -i PATH="$PATH" grep -lsaF -f - /proc/[0-9]*/environ /proc/[0-9]*/cmdline <<<"$work/tmp"$'\n'"$work/go/Test" | cut -d/ -f3 | sort -u) $(hidden); do
    case " $$ ${keyrings//$'\n'/ } " in *" $pid "*) continue ;; esac
    printf '%s %s\n' "$pid" "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
  done
}

# hidden prints gnome-keyrings whose environment cannot be read: on some systems
# the program has a capability, which closes it to its own user.
hidden() {
  local path pid
  # shellcheck disable=SC2013 # no path there holds a space
  for path in $(grep -lsx gnome-keyring-d /proc/[0-9]*/comm); do
    pid=${path//[!0-9]/}
    if [ -O "/proc/$pid/comm" ] && ! head -c 1 "/proc/$pid/environ" >/dev/null 2>&1; then echo "$pid"; fi
  done
}
