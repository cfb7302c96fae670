//go:build !linux

package local

import "syscall"

// dieWithParent can do nothing here: a parent that is killed leaves its children behind.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
