//go:build unix

package upgrade

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// closeOnExec keeps a file from the processes that this one starts.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

// Duplicate returns a socket once more. Unlike what net's File methods return, it never makes the socket block when a process is
// given it: that would hold for all who have the socket, and a goroutine that accepts would hold its thread for good.
func Duplicate(c syscall.Conn) (*os.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	if err := raw.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, os.NewSyscallError("fcntl", failed)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}
