package relay

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of a loop on its sockets do not wait, and the Go scheduler
// is not told of them. In an ordinary system call its monitor thread would take
// the processor away from the loop whenever it looks during a longer one, and
// look thousands of times a second from then on: at 4,000 messages a second that
// was a quarter of the CPU time.

func rawRead(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

func rawWrite(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

func rawSplice(from, to, most int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most),
		unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	return result(n, errno)
}

func result(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
