package accesslog

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("ACCESSLOG_BROKEN_STDOUT") != "" {
		os.Exit(writeToBrokenStdout())
	}
	goleak.VerifyTestMain(m)
}

// writeToBrokenStdout is the body of a child process whose standard output nobody reads any more.
func writeToBrokenStdout() int {
	f, err := Compile("$status")
	if err != nil {
		return 2
	}
	l, err := Open("-", Options{Format: f})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	l.Log(&Record{})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	l.Run(ctx)
	if l.Lost() != 1 {
		fmt.Fprintln(os.Stderr, "lost", l.Lost())
		return 3
	}
	return 0
}
