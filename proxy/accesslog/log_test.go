package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, path string, o Options) *Log {
	t.Helper()
	f, err := Compile("line $status $mqtt_client_id end")
	if err != nil {
		t.Fatal(err)
	}
	o.Format = f
	o.Logger = slog.New(slog.DiscardHandler)
	l, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run starts Run and gives what ends it and waits for it, once.
func run(t *testing.T, l *Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkLines fails unless s is whole lines of the test format, and returns how many.
func checkLines(t *testing.T, s string) int {
	t.Helper()
	lines := strings.Split(s, "\n")
	if last := lines[len(lines)-1]; last != "" {
		t.Errorf("half a line at the end: %q", last)
	}
	lines = lines[:len(lines)-1]
	for _, line := range lines {
		if !strings.HasPrefix(line, "line ") || !strings.HasSuffix(line, " end") || strings.Count(line, "line") != 1 {
			t.Errorf("not a whole line: %q", line)
		}
	}
	return len(lines)
}

func TestLinesAreAppendedWithoutWaitingForTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("line of yesterday end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, path, Options{})
	run(t, l)
	l.Log(&Record{Status: 200})
	eventually(t, "the line is in the file", func() bool {
		return content(t, path) == "line of yesterday end\nline 200 - end\n"
	})
	eventually(t, "it is counted", func() bool { return l.Written() == 1 && l.Lost() == 0 })
}

func TestANewFileIsForOwnerAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	defer syscall.Umask(syscall.Umask(0))
	open(t, path, Options{}).Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestAPathThatCannotBeOpenedIsNamedWithItsRemedy(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "no", "access.log"): "no such file or directory: create the folder " + filepath.Join(dir, "no"),
		dir:                                    "is a directory: name a file in that folder",
		pipe:                                   "start what reads from that pipe first",
	} {
		_, err := Open(path, Options{})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestALogThatIsOffDoesNothing(t *testing.T) {
	l, err := Open("", Options{})
	if err != nil || l != nil {
		t.Fatal(l, err)
	}
	run(t, l)
	l.Log(&Record{})
	if err := l.Reopen(); err != nil || l.Written() != 0 || l.Lost() != 0 {
		t.Error(err, l.Written(), l.Lost())
	}
	l.Close()
}

func TestNoLineIsLostOrSplitByRotationUnderLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	l := open(t, path, Options{Buffer: 64 << 20})
	stop := run(t, l)

	const loggers, each, rotations = 4, 5000, 20
	var wg sync.WaitGroup
	for g := range loggers {
		wg.Go(func() {
			for i := range each {
				l.Log(&Record{Status: g, MQTTClientID: fmt.Sprint(i)})
			}
		})
	}
	for i := range rotations {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	stop()

	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, file := range files {
		lines += checkLines(t, content(t, file))
	}
	if lines != loggers*each || l.Written() != loggers*each || l.Lost() != 0 {
		t.Errorf("%d lines in %d files, written %d, lost %d", lines, len(files), l.Written(), l.Lost())
	}
}

func TestLinesBeforeAReopenGoToTheOldFileAndLaterOnesToTheNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, path, Options{})
	l.Log(&Record{Status: 1})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Log(&Record{Status: 2})
	run(t, l)() // only now does anything write
	if got := content(t, path+".1"); got != "line 1 - end\n" {
		t.Errorf("old file: %q", got)
	}
	if got := content(t, path); got != "line 2 - end\n" {
		t.Errorf("new file: %q", got)
	}
}

func TestAFailedReopenKeepsTheOldFileAndSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	l := open(t, path, Options{})
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	err := l.Reopen()
	if err == nil || !strings.Contains(err.Error(), "create the folder") || !strings.Contains(err.Error(), "still go to the file") {
		t.Errorf("got %v", err)
	}
	l.Log(&Record{Status: 1})
	run(t, l)()
	if got := content(t, filepath.Join(dir+".old", "access.log")); got != "line 1 - end\n" {
		t.Errorf("old file: %q", got)
	}
}

func TestABrokenStandardOutputDoesNotEndTheProcess(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer func() { _ = w.Close() }()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "ACCESSLOG_BROKEN_STDOUT=1")
	child.Stdout = w
	var said bytes.Buffer
	child.Stderr = &said
	if err := child.Run(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	if !strings.Contains(said.String(), "broken pipe") {
		t.Errorf("no report: %s", said.String())
	}
}

func TestALogThatIsNeverRunClosesItsFilesAndCountsItsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, path, Options{})
	l.Log(&Record{})
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	out, next := l.out, l.next
	l.Close()
	l.Close()
	if err := l.Reopen(); err != nil {
		t.Error(err)
	}
	for _, f := range []io.Closer{out, next} {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("still open: %v", err)
		}
	}
	if l.Lost() != 1 {
		t.Errorf("lost %d", l.Lost())
	}
}

func TestLoggingCostsNoAllocation(t *testing.T) {
	l := open(t, os.DevNull, Options{})
	stop := run(t, l)
	r := exampleRecord()
	if n := testing.AllocsPerRun(2000, func() { l.Log(r) }); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
	stop()
	if l.Lost() != 0 || l.Written() != 2001 {
		t.Errorf("written %d, lost %d", l.Written(), l.Lost())
	}
}

func BenchmarkLog(b *testing.B) {
	f, err := Compile("json")
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(os.DevNull, Options{Format: f, Buffer: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	r := exampleRecord()
	b.ReportAllocs()
	for b.Loop() {
		l.Log(r)
	}
	cancel()
	<-ended
	b.ReportMetric(float64(l.Lost())/float64(b.N), "lost/op")
}
