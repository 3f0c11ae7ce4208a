package accesslog

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a file on a disk with little room.
type disk struct {
	mu   sync.Mutex
	room int
	data bytes.Buffer
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(b), d.room)
	d.room -= n
	d.data.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *disk) Close() error { return nil }

func (d *disk) makeRoom(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += n
}

func (d *disk) content() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.data.String()
}

// openOn gives a Log that writes to d instead of a file.
func openOn(t *testing.T, d io.WriteCloser, o Options) *Log {
	t.Helper()
	l := open(t, os.DevNull, o)
	_ = l.out.Close()
	l.out = d
	return l
}

func TestAFullDiskLosesWholeLinesOnlyAndWritingResumesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 100} // ends within a line
		var reports bytes.Buffer
		l := openOn(t, d, Options{Buffer: 1000})
		l.logger = slog.New(slog.NewTextHandler(&reports, nil))
		stop := run(t, l)

		logged := uint64(0)
		for range 1000 {
			l.Log(&Record{Status: 200})
			logged++
		}
		synctest.Wait()
		for range 1000 {
			l.Log(&Record{Status: 200})
			logged++
		}
		<-time.After(15 * time.Second) // the report is due
		synctest.Wait()
		if l.Lost() == 0 || strings.Count(reports.String(), "\n") != 1 ||
			!strings.Contains(reports.String(), "no space left on device") || !strings.Contains(reports.String(), fmt.Sprint("lost_total=", l.Lost())) {
			t.Errorf("lost %d, reports %q", l.Lost(), reports.String())
		}

		d.makeRoom(1 << 20)
		<-time.After(2 * time.Second)
		l.Log(&Record{Status: 201})
		logged++
		stop()
		if lines := uint64(checkLines(t, d.content())); lines != l.Written() || l.Written()+l.Lost() != logged {
			t.Errorf("%d lines; written %d + lost %d, logged %d", lines, l.Written(), l.Lost(), logged)
		}
		if !strings.HasSuffix(d.content(), "line 201 - end\n") {
			t.Error("the last line is missing")
		}
	})
}

func TestADiskThatRefusesIsLeftAloneForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &attempts{}
		l := openOn(t, d, Options{})
		run(t, l)
		for range 100 {
			l.Log(&Record{})
			synctest.Wait()
		}
		<-time.After(9*time.Second + time.Second/2)
		if n := d.load(); n != 10 {
			t.Errorf("%d writes in 9.5 s", n)
		}
	})
}

func TestLinesThatComeInARowAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &writes{}
		l := openOn(t, d, Options{})
		stop := run(t, l)
		l.Log(&Record{Status: 200})
		synctest.Wait()
		if n := d.count(); n != 1 {
			t.Fatalf("%d writes for the first line, before any time has passed", n)
		}
		for range 1000 { // for a second
			<-time.After(time.Millisecond)
			l.Log(&Record{Status: 200})
		}
		if n := d.count(); n > 25 {
			t.Errorf("%d writes for 1000 lines in a second", n)
		}
		<-time.After(100 * time.Millisecond)
		if l.Written() != 1001 {
			t.Errorf("%d of 1001 lines written 100 ms after the last", l.Written())
		}
		before := d.count()
		l.Log(&Record{Status: 200})
		stop()
		if n := d.count() - before; n != 1 || l.Written() != 1002 {
			t.Errorf("at the end: %d writes, %d of 1002 lines", n, l.Written())
		}
	})
}

func TestLinesDoNotWaitForOthersWhileTheBufferFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, &disk{room: 1 << 20}, Options{Buffer: 1000})
		run(t, l)
		for range 600 { // nine buffers, in no time
			l.Log(&Record{Status: 200})
			synctest.Wait()
		}
		if l.Lost() > 0 {
			t.Errorf("%d lines lost", l.Lost())
		}
	})
}

// writes counts.
type writes struct {
	disk
	n int
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return len(b), nil
}

func (w *writes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// attempts refuses and counts.
type attempts struct {
	mu sync.Mutex
	n  int
}

func (a *attempts) Write([]byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	return 0, syscall.EIO
}
func (a *attempts) Close() error { return nil }
func (a *attempts) load() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

func TestRotationAwayFromAFullDiskStartsOnAFreshLine(t *testing.T) {
	for _, test := range []struct {
		name string
		room int // of lines of 15 bytes
		want string
		lost uint64
	}{
		{"in the middle of a line", 20, "line 202 - end\nline 203 - end\n", 1},
		{"at the end of a line", 30, "line 202 - end\nline 203 - end\n", 0},
		{"before anything", 0, "line 200 - end\nline 201 - end\nline 202 - end\nline 203 - end\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := openOn(t, &disk{room: test.room}, Options{})
				stop := run(t, l)
				for i := range 4 {
					l.Log(&Record{Status: 200 + i})
				}
				synctest.Wait()

				l.path = filepath.Join(t.TempDir(), "new.log")
				if err := l.Reopen(); err != nil {
					t.Fatal(err)
				}
				stop()
				if got := content(t, l.path); got != test.want {
					t.Errorf("new file %q", got)
				}
				if l.Written() != 4-test.lost || l.Lost() != test.lost {
					t.Errorf("written %d, lost %d", l.Written(), l.Lost())
				}
			})
		})
	}
}

func TestABlockedPipeNeverBlocksTrafficNorTheEnd(t *testing.T) {
	for _, kind := range []string{"named pipe", "standard output"} {
		t.Run(kind, func(t *testing.T) {
			var p [2]int
			if err := syscall.Pipe(p[:]); err != nil {
				t.Fatal(err)
			}
			reader := os.NewFile(uintptr(p[0]), "reader")
			if err := syscall.SetNonblock(p[1], true); err != nil {
				t.Fatal(err)
			}
			for n := 1; n > 0; {
				n, _ = syscall.Write(p[1], make([]byte, 4096)) // until it is full
			}
			// As mqedge opens a named pipe, or as it inherits standard output: Go cannot interrupt a write to the latter.
			if err := syscall.SetNonblock(p[1], kind == "named pipe"); err != nil {
				t.Fatal(err)
			}
			l := openOn(t, os.NewFile(uintptr(p[1]), "writer"), Options{Buffer: 10 << 10})
			l.flushWithin = 50 * time.Millisecond
			stop := run(t, l)

			for range 20000 {
				l.Log(&Record{Status: 200})
			}
			if l.Written() > 0 || l.Lost() < 15000 {
				t.Errorf("written %d, lost %d", l.Written(), l.Lost())
			}
			stop()
			lost := l.Lost()
			l.Log(&Record{})
			if l.Lost() != lost+1 {
				t.Error("a line after the end is not counted as lost")
			}

			// What the kernel holds can be read, and lets go of the writer where it was stuck for good.
			if _, err := io.Copy(io.Discard, reader); err != nil {
				t.Error(err)
			}
			_ = reader.Close()
		})
	}
}
