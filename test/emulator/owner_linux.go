package emulator

import "syscall"

// dieWithParent makes Postgres shut down at once when the process that started
// it is gone, however that ended. SIGQUIT lets it remove its shared memory.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
