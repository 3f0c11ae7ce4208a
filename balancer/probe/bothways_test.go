package probe

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestWhatIsAnsweredAndOverAtOnceIsNotTakenForUnanswered(t *testing.T) {
	after := errors.New("after the answer")
	quick := func(_ context.Context, answered func()) error {
		answered()
		return after
	}
	unanswered := func(context.Context, func()) error { return errors.New("unanswered") }
	for range 1000 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := bothWays(ctx, cancel, false, quick, unanswered); err != after {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
		var mismatch *ProxyMismatch
		if err := bothWays(ctx, cancel, false, unanswered, quick); !errors.As(err, &mismatch) {
			t.Fatal(err)
		}
	}
}
