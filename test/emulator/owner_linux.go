package emulator

import "syscall"

// dieWithParent makes Postgres shut down when the process that started it ends, however
// it ends. SIGQUIT lets it remove its shared memory.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
