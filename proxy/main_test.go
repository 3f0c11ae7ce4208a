package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/proxy/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(relayed{m}) }

// carrier relays for all tests, as one does for all listeners of a process.
var carrier, carrierErr = relay.New(relay.RelayOptions{Loops: 1})

// relayed runs the tests while the carrier works.
type relayed struct{ *testing.M }

func (r relayed) Run() int {
	if carrierErr != nil {
		panic(carrierErr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); carrier.Run(ctx) }()
	code := r.M.Run()
	cancel()
	<-ended
	return code
}

// patience is how long a test waits for what must come.
const patience = 15 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls for what comes about without a signal.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came about: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func send(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// sendEach writes the bytes one by one, in a segment each, until all are
// written or the other side has had enough.
func sendEach(c net.Conn, b []byte) {
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
	}
}

func receive(t testing.TB, c io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("got %q, want %d bytes: %v", b[:got], n, err)
	}
	return b
}

func receiveText(t testing.TB, c io.Reader, want string) {
	t.Helper()
	if got := receive(t, c, len(want)); string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// receiveEnd returns what still came before the connection ended, in whatever way.
func receiveEnd(t testing.TB, c net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection was not closed")
	}
	return b
}

// echo gives back what it gets, and the end of the stream too.
func echo(c *net.TCPConn) {
	io.Copy(c, c)
	c.CloseWrite()
}

func newBufio(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
