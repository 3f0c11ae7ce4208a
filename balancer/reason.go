package balancer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// reason describes the failures that still count. n.mu is held.
func (n *node) reason(s *snapshot, now time.Duration) string {
	retryAt := time.Duration(n.retryAt.Load())
	if retryAt == 0 {
		count := len(within(n.recent, now, s.FailTimeout))
		text := n.counted(count, s)
		switch {
		case count == 0:
			return ""
		case count < s.MaxFails:
			return text
		case s.alone:
			return text + ", in use as the only endpoint"
		}
		return text + ", in use because too many others are out"
	}
	next := "with the next connection"
	if wait := retryAt - now; wait > 0 {
		next = "in " + max(wait.Round(time.Second), time.Second).String()
	}
	return n.counted(len(n.recent), s) + ", next try " + next
}

// counted is the cause and, unless the endpoint was ejected for something else, how often it was seen.
func (n *node) counted(failures int, s *snapshot) string {
	if failures == 0 {
		return n.cause
	}
	return fmt.Sprintf("%s (%d of %d within %v)", n.cause, failures, s.MaxFails, s.FailTimeout)
}

// within drops the times that are older than the window. It leaves times as it is.
func within(times []time.Duration, now, window time.Duration) []time.Duration {
	first := slices.IndexFunc(times, func(t time.Duration) bool { return now-t <= window })
	if first < 0 {
		return nil
	}
	return times[first:]
}

func cause(o Outcome, err error) string {
	if err == nil {
		return o.String()
	}
	return o.String() + ": " + words(err)
}

// maxWords bounds what one failure may add to every status answer.
const maxWords = 200

// words is what went wrong, without what the reader knows already: the address and the system call.
func words(err error) string {
	var inOperation *net.OpError
	if errors.As(err, &inOperation) && inOperation.Err != nil {
		err = inOperation.Err
	}
	var inCall *os.SyscallError
	if errors.As(err, &inCall) && inCall.Err != nil {
		err = inCall.Err
	}
	text := err.Error()
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}
