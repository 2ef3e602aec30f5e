# shellcheck shell=bash source=scripts/lib.sh disable=SC2154 # work and keyrings are set elsewhere
# Finds processes and files that a test run leaves. Sourced after lib.sh.

# nothing_left fails and names each process of the tests that still runs, and each file.
# All processes that tests start, daemons included, have this run's directory in their
# environment (TMPDIR) or arguments; a test's own directory may be in GOTMPDIR.
nothing_left() {
  local i processes files
  for ((i = 0; i < 50; i++)); do # a process that was just killed may take a moment
    processes=$(test_processes)
    [ -n "$processes" ] || break
    sleep 0.1
  done
  files=$(find "$work/tmp" -mindepth 1 -maxdepth 1)
  if [ -n "$processes" ]; then say "error: processes are left:"$'\n'"$processes"; fi
  if [ -n "$files" ]; then say "error: files are left:"$'\n'"$(find "$work/tmp" -mindepth 1 -maxdepth 3 | head -n 20)"; fi
  [ -z "$processes$files" ]
}

# on_exit is called by finish.
on_exit() { end_test_processes; }

# end_test_processes: a go test that a signal ends leaves its test binaries running; their
# daemons end with them.
end_test_processes() {
  local pid
  for pid in $(test_processes | cut -d ' ' -f 1); do end_within 2 "$pid" TERM; done
}

# test_processes prints pid and command of each process. The pattern is given on standard
# input and the environment is empty, or the search would find its own processes.
test_processes() {
  local pid
  [ -d /proc/self ] || return 0
  for pid in $(env -i PATH="$PATH" sh -c 'grep -lsaF -f - /proc/[0-9]*/environ /proc/[0-9]*/cmdline | cut -d/ -f3 | sort -u' <<<"$work/tmp"$'\n'"$work/go/Test") $(unreadable_keyrings); do
    case " $$ ${keyrings//$'\n'/ } " in *" $pid "*) continue ;; esac
    printf '%s %s\n' "$pid" "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
  done
}

# unreadable_keyrings prints gnome-keyring daemons whose environment cannot be read: on some
# systems the program has a capability that hides it from its own user.
unreadable_keyrings() {
  local path pid
  # shellcheck disable=SC2013 # no path there holds a space
  for path in $(grep -lsx gnome-keyring-d /proc/[0-9]*/comm); do
    pid=${path//[!0-9]/}
    if [ -O "/proc/$pid/comm" ] && ! head -c 1 "/proc/$pid/environ" >/dev/null 2>&1; then echo "$pid"; fi
  done
}
