//go:build unix

package upgrade

import "syscall"

// closeOnExec keeps a file from the processes that this one starts.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
