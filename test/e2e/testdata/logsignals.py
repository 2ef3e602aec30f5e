"""logsignals.py LOG N: appends a line to LOG for each signal that it receives, with
its sender: the kernel (which includes the terminal) or a process.

It ends by the Nth signal that asks for an end, after a moment in which an unexpected
one would be seen."""

import os
import resource
import signal
import sys
import time

MOMENT = 0.3
LIMIT = 600.0
SI_KERNEL = 0x80  # asm-generic/siginfo.h

ENDS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
SEEN = ENDS | {signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH, signal.SIGCONT}

# A blocked signal stays pending, even one that is ignored by default.
signal.pthread_sigmask(signal.SIG_BLOCK, SEEN)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
wanted = int(sys.argv[2])


def line(*words):
    os.write(log, (" ".join(map(str, words)) + "\n").encode())


line("ready", os.getpid(), os.getppid())
end = time.monotonic() + LIMIT
last = None
while (left := end - time.monotonic()) > 0:
    info = signal.sigtimedwait(SEEN, left)
    if info is None:
        break
    seen = signal.Signals(info.si_signo)
    line(seen.name, *(["kernel"] if info.si_code == SI_KERNEL else ["process", info.si_pid]))
    if seen in ENDS:
        last, wanted = seen, wanted - 1
    if wanted == 0:
        end = time.monotonic() + MOMENT
if wanted > 0:
    sys.exit(97)
signal.signal(last, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {last})
os.kill(os.getpid(), last)
