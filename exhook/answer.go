package exhook

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// verdict is what the end of an attempt says of the provider.
type verdict struct {
	good    bool // an answer that the client can have
	said    bool // the provider said the code itself
	failure bool // of the provider
	lost    bool // with its connection, or ended from here: it says nothing of the provider
	code    codes.Code
	text    string
}

// judge looks at how an attempt ended.
func (u *Upstream) judge(s *call, o grpcrelay.Outcome) verdict {
	v := verdict{code: o.Code, text: o.Text, said: o.Answered}
	switch {
	case o.Cancelled && s.won:
		// One that was asked later was faster.
		v.failure = o.Took >= u.rules.hedge
		v.lost = !v.failure
		v.code, v.text = codes.DeadlineExceeded, "slower than another that was asked later"
	case !o.Answered && (o.Code == codes.DeadlineExceeded || o.Cancelled && s.gaveUp):
		// A provider is to blame for a time that is up only if it had most of that time.
		v.failure = o.Took >= fairTime && o.Took >= s.c.Took()/2
		v.lost = !v.failure
		v.code, v.text = codes.DeadlineExceeded, "the provider did not answer in time"
	case o.Cancelled:
		v.lost = true
	case o.Code == codes.OK:
		v.good = true
		if s.hook != hook.None {
			if why := wrong(s.method, o); why != "" {
				v = verdict{failure: true, code: codes.Unavailable, text: why}
			}
		}
	case o.Provider.Closed() && !o.Answered, o.Unprocessed:
		v.lost = true // which the link reports, once for all calls
	case !o.Answered:
		v.failure = true
	default:
		v.failure = ofProvider(o.Code) || o.Code == codes.Canceled && s.hook != hook.None // EMQX did not cancel it: the provider is ending
	}
	return v
}

// ofProvider says whether a status tells of trouble at the provider, and not of the request.
func ofProvider(c codes.Code) bool {
	switch c {
	case codes.Unavailable, codes.ResourceExhausted, codes.Internal, codes.Unknown, codes.DeadlineExceeded:
		return true
	default:
		return false
	}
}

// elsewhere says whether another provider may do better where one answered so.
func elsewhere(c codes.Code) bool {
	return c == codes.Unavailable || c == codes.ResourceExhausted || c == codes.Canceled
}

// fairTime is the least that a provider must have had to be blamed for not answering.
const fairTime = 500 * time.Millisecond

// wrong says why EMQX must not get an answer.
func wrong(m hook.Method, o grpcrelay.Outcome) string {
	if o.Compressed {
		return "the provider's answer is compressed, which EMQX cannot read"
	}
	if err := hook.CheckReply(m, o.Message); err != nil && !(err == hook.ErrNoValue && m.Version == hook.V1) {
		return "the provider's answer is wrong: " + err.Error()
	}
	return ""
}

// fail answers a call that no provider answered.
func (u *Upstream) fail(s *call, code codes.Code, text string) {
	if s.hook == hook.None || s.c.Answered() {
		s.c.Fail(code, text)
		return
	}
	u.stats.fallbacks[s.hook].Add(1)
	answer, ok := hook.AppendFallback(u.scratch[:0], s.hook, u.rules.onFailure[s.hook], s.c.Message())
	if !ok {
		if code != codes.DeadlineExceeded {
			code = codes.Unavailable
		}
		s.c.Fail(code, text)
		return
	}
	s.c.Reply(answer)
	if cap(answer) <= scratchKept {
		u.scratch = answer
	}
}

const scratchKept = 64 << 10

// learn tells the pool, and keeps for the status, how an attempt ended.
func (l *link) learn(h hook.Hook, v verdict, took time.Duration, lease *balancer.Lease) {
	row := &l.row[h]
	switch {
	case v.lost:
		lease.Done(balancer.Broken)
	case !v.failure:
		*row = 0
		if h != hook.None { // others may be streams, as long as they like
			if l.latency == 0 {
				l.latency = took
			}
			l.latency += (took - l.latency) / 16
			lease.Answered(took)
		}
		lease.Done(balancer.Served)
	default:
		l.failures++
		if *row < failuresInARow {
			*row++
		}
		// One request that a provider cannot cope with must not take the provider out of use, however often it comes.
		if (v.said && v.code != codes.Unavailable || v.code == codes.DeadlineExceeded) && *row < failuresInARow {
			lease.Done(balancer.Broken)
			return
		}
		text := v.text
		if v.said {
			text = "" // may have anything in it
		}
		lease.DoneError(balancer.Refused, failure{v.code, text})
	}
}

// failuresInARow is how many failing answers to calls of one kind in a row count against a provider.
const failuresInARow = 3

// failure is what an operator reads of it. The text is made only then.
type failure struct {
	code codes.Code
	text string
}

func (f failure) Error() string {
	if f.text == "" {
		return "it answered " + f.code.String()
	}
	return f.code.String() + ", " + f.text
}
