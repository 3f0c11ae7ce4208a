package relay

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/mqedge/mqedge/proxy/relay/record"
	"golang.org/x/sys/unix"
)

// loop carries pairs in a goroutine of its own: an epoll instance over sockets
// that Go's netpoller has let go of, so that neither a goroutine nor a buffer
// is spent on a pair that is idle. All that a pair has in a loop is touched by
// that goroutine alone; others talk to it through the inbox.
type loop struct {
	relay *Relay
	epoll int
	wakes int // eventfd

	pairs []*loopPair // by slot; nil where free
	free  []int32     // slots
	again []*loopPair // have more to read than one turn gives them

	strands     []*strand    // unemployed
	runnable    []*strand    // to be continued
	running     atomic.Int32 // strands at work, or on their way
	deadlines   wheel[*strand]
	sockets     []*socket // of strands, by slot
	freeSockets []int32

	streams streamSet

	over  []*loopPair // due by the wheel
	pipes []*pipe     // empty, to be borrowed
	swept int         // slot that was looked at last
	wheel wheel[*loopPair]
	now   int64 // tick

	in     []byte // what a read takes
	plain  []byte // what TLS makes of it
	staged []byte // what TLS wants to send
	work   record.Work

	added []message // pairs, by strands of this turn
	read  []message // the room of messages that were read, for the next

	mu       sync.Mutex
	inbox    []message
	asleep   bool // in a wait that only an event ends
	stopping bool

	load         atomic.Int32 // of the last tick, in thousandths
	busy         time.Duration
	workingSince atomic.Int64 // nanoseconds since relay.began; 0 while waiting
}

const (
	// readMost is the most that one read takes: large, since bulk costs by the
	// system call, and shared by all pairs of a loop.
	readMost = 256 << 10
	// readLeast is what a pair is given until it has shown that its reads are
	// full and its writes are taken: a peer that stops reading then leaves so
	// much behind.
	readLeast = 16 << 10
	// gradeMost makes reads of readMost.
	gradeMost = 4
	// turnShare bounds what one pair may read before others have their turn.
	turnShare = 512 << 10

	// A loop that had events of late waits for the next without telling the Go
	// scheduler. Otherwise its monitor thread, which looks for threads stuck in
	// system calls, takes up to a quarter of the CPU time by its own wake-ups.
	// The wait is short, since the processor (a P) is held meanwhile; a loop
	// that saw nothing for a second waits in the ordinary way.
	shortWait  = 20 * time.Millisecond
	quietTurns = 50
)

func (r *Relay) openLoops(n int) error {
	for range n {
		l, err := openLoop(r)
		if err != nil {
			r.Close()
			return fmt.Errorf("relay: event loop: %w", err)
		}
		r.loops = append(r.loops, l)
	}
	return nil
}

func openLoop(r *Relay) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakes, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wakes, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot})
	}
	if err != nil {
		unix.Close(ep)
		return nil, err
	}
	return &loop{
		relay: r, epoll: ep, wakes: wakes,
		in: make([]byte, readMost), plain: make([]byte, readMost+record.MaxRecord), staged: make([]byte, 0, readLeast),
	}, nil
}

const (
	wakeSlot    = -1 // marks events of the eventfd
	socketEvent = 2  // marks those of a socket that is not of a pair
	streamEvent = 3  // and those of a stream
)

func (l *loop) close() {
	for _, p := range l.pipes {
		p.close()
	}
	for _, st := range l.strands {
		st.stop()
	}
	unix.Close(l.epoll)
	unix.Close(l.wakes)
}

func (l *loop) run() {
	// The goroutine is not locked to its thread: the runtime interrupts whatever
	// runs for 10 ms, and a locked goroutine would hand its processor to another
	// thread and get it back, a hundred times a second.
	defer l.close()
	events := make([]unix.EpollEvent, 256)
	quiet := 0
	awake := time.Now()
	lastTick := l.now
	for {
		timeout, short := l.nextWait(quiet)
		if timeout != 0 && !l.lieDown() {
			timeout = 0
		}
		l.busy += time.Since(awake)
		l.workingSince.Store(0)
		n := l.wait(events, timeout, short)
		awake = time.Now()
		l.workingSince.Store(int64(awake.Sub(l.relay.began)))
		quiet++
		if n > 0 {
			quiet = 0
		}
		l.now = l.relay.tick(awake)
		for i := range events[:n] {
			l.handle(&events[i])
		}
		if l.readInbox() {
			l.endTurn()
			return
		}
		l.continueReads()
		l.continueStreams()
		l.endTurn()
		l.runStrands()
		l.carryAdded()
		if l.now > lastTick {
			l.wheel.advance(l.now)
			l.endOverdue()
			l.deadlines.advance(l.now)
			l.sweep()
			l.tickGroups()
			l.dismiss()
			l.load.Store(int32(l.busy * 1000 / (time.Duration(l.now-lastTick) * tick)))
			l.busy, lastTick = 0, l.now
			l.share()
		}
	}
}

// nextWait says how long to wait, and whether in the way that hides it from the
// scheduler.
func (l *loop) nextWait(quiet int) (timeout time.Duration, short bool) {
	if len(l.again) > 0 || len(l.runnable) > 0 || len(l.streams.again) > 0 {
		return 0, true
	}
	if quiet < quietTurns {
		return shortWait, true
	}
	if len(l.pairs) == len(l.free) && l.running.Load() == 0 && len(l.strands) == 0 && len(l.streams.groups) == 0 {
		return -1, false
	}
	return max(time.Until(l.relay.began.Add(time.Duration(l.now+1)*tick)), 0), false // negative would be for ever
}

func (l *loop) wait(events []unix.EpollEvent, timeout time.Duration, short bool) int {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	var n uintptr
	var errno unix.Errno
	if short {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll),
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll),
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	}
	if errno != 0 {
		return 0 // EINTR: the runtime wants this thread to look up
	}
	return int(n)
}

// listen adds a socket to those that the loop hears of, or changes what it hears;
// slot and kind come with the events.
func (l *loop) listen(op, fd int, room bool, slot, kind int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: slot, Pad: kind}
	if room {
		ev.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(l.epoll, op, fd, &ev)
}

func (l *loop) handle(ev *unix.EpollEvent) {
	if ev.Fd == wakeSlot {
		var b [8]byte
		unix.Read(l.wakes, b[:])
		return
	}
	if ev.Pad >= socketEvent {
		if ev.Pad == streamEvent {
			l.handleStream(ev.Fd, ev.Events)
		} else if s := l.sockets[ev.Fd]; s != nil {
			s.heard(ev.Events)
		}
		return
	}
	p := l.pairs[ev.Fd]
	if p == nil {
		return // it ended earlier in this turn
	}
	s := &p.sides[ev.Pad]
	const ends = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if ev.Events&(unix.EPOLLIN|unix.EPOLLPRI|ends) != 0 {
		s.readable = true
		// A read stops short at an urgent byte too (RFC 6093).
		s.readOn = s.readOn || ev.Events&(unix.EPOLLPRI|ends) != 0
	}
	if s.blocked() && ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.flush(s)
	}
	p.serve()
}

// share hands pairs over to a loop that has much less to do, when this one is
// close to its limit: connections are given to one loop after the other while
// they are quiet, and may all become busy later.
func (l *loop) share() {
	const full, roomy, atOnce = 850, 500, 64
	if l.load.Load() < full {
		return
	}
	for _, to := range l.relay.loops {
		if to == l || to.load.Load() > roomy {
			continue
		}
		for i, moved := 0, 0; i < len(l.pairs) && moved < min(atOnce, len(l.pairs)/4); i++ {
			if p := l.pairs[(i+int(l.now))%len(l.pairs)]; p != nil && !p.queued {
				l.handOver(p, to)
				moved++
			}
		}
		return
	}
}

func (l *loop) handOver(p *loopPair, to *loop) {
	for i := range p.sides {
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, int(p.sides[i].fd), nil)
	}
	l.wheel.take(p)
	l.pairs[p.slot] = nil
	l.free = append(l.free, p.slot)
	to.post(message{pair: p, moved: true})
}

func (l *loop) continueReads() {
	turn := l.again
	l.again = nil
	for _, p := range turn {
		p.queued = false
		if !p.gone {
			p.serve()
		}
	}
}

// endOverdue ends what the wheel found, which it may not do itself.
func (l *loop) endOverdue() {
	for _, p := range l.over {
		if p.gone {
			continue
		}
		if p.linger != 0 && l.now >= int64(p.linger) {
			p.finish()
			continue
		}
		if w := p.farewell; w != nil && l.now >= w.look {
			p.lookAgain()
			continue
		}
		p.conclude(IdleTimeout, nil)
		p.abort()
	}
	l.over = slices.Delete(l.over, 0, len(l.over))
}

// carry begins to relay a pair that Add or another loop has handed over.
func (l *loop) carry(m *message) {
	p := m.pair
	if n := len(l.free); n > 0 {
		p.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.pairs[p.slot] = p
	} else {
		p.slot = int32(len(l.pairs))
		l.pairs = append(l.pairs, p)
	}
	for i := range p.sides {
		s := &p.sides[i]
		op := unix.EPOLL_CTL_ADD
		if m.heard[i] {
			op = unix.EPOLL_CTL_MOD
		}
		if !m.moved {
			s.last = int32(l.now)
		}
		if s.tls != nil {
			s.tls.moveTo(l)
		}
		// Both operations look at the socket anew, so that what came before is an
		// event as well. A read to find out would mostly be in vain.
		s.readable = false
		if err := l.listen(op, int(s.fd), p.room[i], p.slot, int32(i)); err != nil {
			p.conclude(sideBroke(i), err)
			p.finish()
			return
		}
	}
	if due := p.next(); due > 0 {
		l.wheel.put(p, due)
	}
	if m.rest != nil {
		for i := range p.sides {
			p.takeLeftOver(i, m.rest[i])
		}
	}
	p.serve()
}
