package upgrade

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is the new process as well.
func TestMain(m *testing.M) {
	if os.Getenv(variable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	p, err := Inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	switch string(p.State[:min(len(p.State), 4)]) {
	case "fail":
		p.Fail(errors.New("no: \"such\nthing\""))
		os.Exit(1)
	case "exit":
		os.Exit(7)
	case "hang":
		time.Sleep(time.Hour)
	}
	if os.Getenv("SECRET") != "" || os.Getenv(variable) != "" {
		p.Fail(errors.New("it has variables that it should not have"))
	}
	l, err := net.FileListener(p.Sockets[0])
	if err != nil {
		p.Fail(err)
		os.Exit(1)
	}
	p.Serve()
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		<-p.Released()
		fmt.Fprintf(c, "%d bytes\n", len(p.State))
		c.Close()
		os.Exit(0)
	}
}

func begin(t *testing.T, state []byte) (*Successor, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := Duplicate(l.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("SECRET", "1")
	s, err := Start(Options{Path: os.Args[0], State: state, Sockets: []*os.File{f}, Without: []string{"SECRET"}})
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

func TestTheNewProcessServesOnTheSocketItIsGivenOnceItIsReleased(t *testing.T) {
	state := bytes.Repeat([]byte("x"), 1<<20) // more than a pipe holds
	s, l := begin(t, state)
	if err := s.Serves(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("before it was released: %v", err)
	}
	s.Release()
	c.SetReadDeadline(time.Time{})
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "1048576 bytes\n" {
		t.Errorf("%q, %v", line, err)
	}
	<-s.Ended()
}

func TestANewProcessThatDoesNotServeSaysWhyAndIsGone(t *testing.T) {
	for state, want := range map[string]string{"fail": "no: \"such\nthing\"", "exit": "exit status 7"} {
		s, l := begin(t, []byte(state))
		if err := s.Serves(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", state, err)
		}
		<-s.Ended()
		closed := make(chan struct{})
		go func() { // blocks if the socket does
			l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Millisecond))
			l.Accept()
			l.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the socket blocks", state)
		}
	}
}

func TestANewProcessThatHangsIsEnded(t *testing.T) {
	s, _ := begin(t, []byte("hang"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Serves(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-s.Ended()
}

func TestANewProcessThatHangsWithProgramsOfItsOwnIsNotWaitedForEither(t *testing.T) {
	held, hold, err := os.Pipe() // its child lives as long as we want
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s, err := Start(Options{Path: "/bin/sh", Args: []string{"-c", "cat <&5 & wait"}, Sockets: []*os.File{held}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- s.Serves(ctx) }()
	select {
	case err := <-served:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		hold.Close()
	case <-time.After(10 * time.Second):
		hold.Close()
		t.Errorf("it waits for what the new process started: %v", <-served)
	}
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	if _, err := Start(Options{Path: t.TempDir() + "/gone"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAProcessThatWasNotUpgradedHasNoPredecessor(t *testing.T) {
	p, err := Inherit()
	if p != nil || err != nil {
		t.Fatalf("%v, %v", p, err)
	}
	p.Serve()
	p.Fail(errors.New("nobody hears"))
	<-p.Released()
	t.Setenv(variable, "many")
	if _, err := Inherit(); err == nil || !strings.Contains(err.Error(), "do not set it") {
		t.Error(err)
	}
}

func FuzzWhatThePredecessorSays(f *testing.F) {
	f.Add([]byte("5\nstate"))
	f.Add([]byte("-1\n"))
	f.Add([]byte("99\nshort"))
	f.Fuzz(func(t *testing.T, b []byte) {
		state, err := readState(bufio.NewReader(io.LimitReader(bytes.NewReader(b), 1<<16)))
		if err == nil && !bytes.Contains(b, state) {
			t.Errorf("%q of %q", state, b)
		}
	})
}
