package relay

import (
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Plain bulk goes from socket to socket through a pipe, without being copied
// into this process. A pipe costs two descriptors, so a direction has one only
// while it is busy: it borrows it after some full reads and gives it back when
// its source runs dry.
const (
	spliceAfter = 4        // full reads of readMost in a row
	spliceLeast = readMost // bytes that the follower need not see; with fewer, a read carries more
	pipeSize    = 1 << 20  // bytes, if the host allows it
	pipesKept   = 4        // by a loop, for the next
)

type pipe struct {
	r, w int
	n    int // bytes in it
}

// borrowPipe returns nil when there is none to be had; copying works as well.
func (l *loop) borrowPipe() *pipe {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return nil
	}
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // a small one works too
	return &pipe{r: fds[0], w: fds[1]}
}

func (l *loop) returnPipe(p *pipe) {
	if p == nil {
		return
	}
	if p.n > 0 || len(l.pipes) >= pipesKept {
		p.close()
		return
	}
	l.pipes = append(l.pipes, p)
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

// splices reports whether side i is at bulk that may bypass this process.
func (p *loopPair) splices(i int) bool {
	src, dst := &p.sides[i], &p.sides[1-i]
	if dst.backlog != nil && dst.backlog.pipe != nil {
		if p.bypass(i) >= spliceLeast {
			return true
		}
		fulls := src.fulls
		p.endSplice(i)
		src.fulls = fulls // it is at bulk all the same
		return false
	}
	if src.tls != nil || dst.tls != nil || src.fulls < spliceAfter || dst.broken || dst.shut || p.bypass(i) < spliceLeast {
		return false
	}
	borrowed := p.at().borrowPipe()
	if borrowed == nil {
		return false
	}
	dst.backlog = &backlog{pipe: borrowed}
	return true
}

// bypass returns how many of the next bytes of side i nobody here has to see.
func (p *loopPair) bypass(i int) int {
	switch {
	case p.parted || i == upstream && p.options.observe != nil:
		return 0
	case p.follow == nil || p.lost[i]:
		return math.MaxInt
	case i == client:
		return p.follow.ClientLeft()
	}
	return p.follow.ServerLeft()
}

// splice moves one pipe's worth from side i to the other. It reports how much
// came, and false when pump is to stop.
func (p *loopPair) splice(i int) (n int, goOn bool) {
	src, dst := &p.sides[i], &p.sides[1-i]
	n, err := spliceSome(int(src.fd), dst.backlog.pipe.w, min(pipeSize, p.bypass(i)))
	switch {
	case err == unix.EAGAIN:
		src.readable = false
		p.endSplice(i)
		return 0, false
	case err != nil:
		p.endSplice(i)
		p.sideFailed(i, os.NewSyscallError("splice", err))
		return 0, false
	case n == 0:
		p.endSplice(i)
		p.take(i, nil, io.EOF)
		return 0, false
	}
	dst.backlog.pipe.n = n
	dst.backlog.owed += uint64(n)
	p.skip(i, n)
	p.countReceived(i, uint64(n))
	p.drainPipe(dst)
	return n, true
}

// endSplice gives the empty pipe back.
func (p *loopPair) endSplice(i int) {
	src, dst := &p.sides[i], &p.sides[1-i]
	src.fulls = 0
	p.at().returnPipe(dst.backlog.pipe)
	dst.backlog = nil
}

// drainPipe sends what is in the pipe of s as far as the socket takes it.
func (p *loopPair) drainPipe(s *side) {
	pipe := s.backlog.pipe
	for pipe.n > 0 {
		n, err := spliceSome(pipe.r, int(s.fd), pipe.n)
		if err == unix.EAGAIN {
			p.awaitRoom(s)
			return
		}
		if err != nil {
			p.writeFailed(s, os.NewSyscallError("splice", err))
			return
		}
		pipe.n -= n
		p.settleDebt(s, pipe.n)
	}
}

func spliceSome(from, to, most int) (int, error) {
	for {
		n, err := rawSplice(from, to, most)
		if err != unix.EINTR {
			return n, err
		}
	}
}
