package relay

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptBatch is how many connections are accepted in a row.
const acceptBatch = 64

// listenInLoop has the first loop, which is filled first, listen too.
func (r *Relay) listenInLoop(raw syscall.RawConn) (*Conn, error) {
	fd, err := duplicate(raw)
	if err != nil {
		return nil, err
	}
	r.loops[0].running.Add(1)
	return &Conn{socket: socket{fd: fd, slot: -1, loop: r.loops[0]}}, nil
}

func (r *Relay) acceptInLoop(listen *Conn) (*Conn, error) {
	s := &listen.socket
	for {
		if err := s.strand.over(0); err != nil {
			return nil, err
		}
		if r.held.Load() {
			s.pause(holdLook)
			continue
		}
		if s.batch++; s.batch > acceptBatch { // let others have a turn
			s.batch = 0
			s.strand.ready()
			if err := s.strand.wait(0); err != nil {
				return nil, err
			}
		}
		fd, from, err := rawAccept(s.fd)
		switch err {
		case nil:
			return &Conn{socket: socket{fd: fd, slot: -1, peer: from, loop: r.chooseForStrand()}}, nil
		case unix.EINTR:
		case unix.EAGAIN:
			s.batch = 0
			if err := s.wait(toRead, 0); err != nil {
				return nil, err
			}
		default:
			return nil, os.NewSyscallError("accept4", err)
		}
	}
}

// fileOf is ln.File, but that the file's Fd does not make the socket block.
func fileOf(ln *net.TCPListener) (*os.File, error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(raw)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

func (s *socket) file() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

func (s *socket) pause(d time.Duration) bool {
	for by := s.deadline(time.Now().Add(d)); s.strand.wait(by) == nil; {
	}
	return !s.strand.aborted
}
