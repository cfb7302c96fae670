package local

import "syscall"

// dieWithParent has the kernel end a child whose parent is gone, however it went.
func dieWithParent(a *syscall.SysProcAttr, s syscall.Signal) { a.Pdeathsig = s }
