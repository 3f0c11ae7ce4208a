package accesslog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const defaultBuffer = 1 << 20

// Options configure a Log. Format is needed; the rest has defaults.
type Options struct {
	Format *Format
	Buffer int          // bytes of lines that may wait for the disk, and as much again while being written; 0 = 1 MiB
	Logger *slog.Logger // told of lost lines; nil = slog.Default()
}

// Log takes lines and never makes its callers wait. All methods may be called from any goroutine at once.
//
// A nil *Log is the log that is turned off: every method works and does nothing.
type Log struct {
	path   string
	format *Format
	logger *slog.Logger
	bound  int

	flushWithin time.Duration // how long the end may take
	retryAfter  time.Duration // how long the disk is left alone after it refused
	reportEvery time.Duration
	gather      time.Duration // how long lines may wait for others behind a write

	written, lost atomic.Uint64
	lines         chan struct{} // holds one token: lines are waiting
	crowded       chan struct{} // likewise: they have come to fill half of the buffer
	rotated       chan struct{} // likewise: next is set

	mu      sync.Mutex // held for copying in memory only, never across a system call
	waiting []byte     // whole lines that the writer has not taken
	out     io.WriteCloser
	next    io.WriteCloser // from Reopen; takes over after the first upToNext bytes of waiting
	upTo    int
	trouble error // why the last write failed; nil after one that did not
	closed  bool
}

// Open opens path for appending: a file or a named pipe, "-" for standard output, "" for none, which gives a nil Log.
// Lines are buffered from now on and written once [Log.Run] runs; a Log that will not be run needs [Log.Close].
func Open(path string, o Options) (*Log, error) {
	if path == "" {
		return nil, nil
	}
	if o.Buffer <= 0 {
		o.Buffer = defaultBuffer
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	out, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &Log{
		path: path, format: o.Format, logger: o.Logger, bound: o.Buffer, out: out,
		flushWithin: 2 * time.Second, retryAfter: time.Second, reportEvery: 10 * time.Second, gather: 50 * time.Millisecond,
		lines: make(chan struct{}, 1), crowded: make(chan struct{}, 1), rotated: make(chan struct{}, 1),
	}, nil
}

// Log formats r and buffers the line, or counts it as lost when the buffer has no room. It never blocks.
func (l *Log) Log(r *Record) {
	if l == nil {
		return
	}
	l.mu.Lock()
	before := len(l.waiting)
	l.waiting = append(l.format.Append(l.waiting, r), '\n')
	if len(l.waiting) > l.bound || l.closed {
		l.waiting = l.waiting[:before]
		l.mu.Unlock()
		l.lost.Add(1)
		return
	}
	crowded := before <= l.bound/2 && len(l.waiting) > l.bound/2
	l.mu.Unlock()
	signal(l.lines)
	if crowded {
		signal(l.crowded)
	}
}

// Written is how many lines have reached the file.
func (l *Log) Written() uint64 {
	if l == nil {
		return 0
	}
	return l.written.Load()
}

// Lost is how many lines were dropped.
func (l *Log) Lost() uint64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// Reopen opens the path anew, after a rotation moved the file away: lines logged before go to the old file, later
// ones to the new. It does not wait for the writer. On error the old file stays in use.
func (l *Log) Reopen() error {
	if l == nil || l.path == "-" {
		return nil
	}
	f, err := openFile(l.path)
	if err != nil {
		return fmt.Errorf("reopen the access log: %w; lines still go to the file that was open before", err)
	}
	l.mu.Lock()
	superseded := l.next
	if l.closed {
		superseded = f
	} else {
		l.next, l.upTo = f, len(l.waiting)
	}
	l.mu.Unlock()
	if superseded != nil {
		_ = superseded.Close() // nothing was written to it
	}
	signal(l.rotated)
	return nil
}

// Close drops what is buffered and closes the file. Only a Log that is not run needs it; a second call does nothing.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	out, next := l.out, l.next
	l.lost.Add(countLines(l.waiting))
	l.waiting = nil
	l.mu.Unlock()
	_ = out.Close() // whatever could be written was
	if next != nil {
		_ = next.Close()
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func openFile(path string) (*os.File, error) {
	if path == "-" {
		return duplicateStdout()
	}
	// Without O_NONBLOCK the opening of a named pipe waits for a reader, with it a pipe can also be closed
	// while a write waits. It means nothing to an ordinary file.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, openRemedy(path, err))
	}
	return f, nil
}

// duplicateStdout gives a descriptor that may be closed and whose broken pipe is an error: on descriptor 1 itself the
// Go runtime ends the process, and with it the traffic.
func duplicateStdout() (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Dup(syscall.Stdout)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("standard output: %w: start mqedge with it open, or set a path", err)
	}
	return os.NewFile(uintptr(fd), "standard output"), nil
}

func openRemedy(path string, err error) string {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return "create the folder " + filepath.Dir(path)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Sprintf("let the user with id %d, which mqedge runs as, write there", os.Getuid())
	case errors.Is(err, syscall.EISDIR):
		return "name a file in that folder"
	case errors.Is(err, syscall.ENXIO):
		return "start what reads from that pipe first"
	case errors.Is(err, syscall.EROFS):
		return "the file system is mounted read-only: choose another place"
	}
	return "the path must be a file that mqedge can create or append to"
}
