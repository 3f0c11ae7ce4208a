package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// unreliable is a provider whose conduct a test sets.
type unreliable struct {
	*provider
	conduct atomic.Int32
}

const (
	answers   int32 = iota
	hangs           // takes calls and never answers
	babbles         // answers with what is no message
	conducted       // how many there are
)

func startUnreliable(t testing.TB, addr string) *unreliable {
	t.Helper()
	u := &unreliable{provider: &provider{hooks: []string{"client.authenticate", "message.publish"}}}
	u.instead = u.hook
	u.start(t, addr, nil)
	return u
}

// published is what a provider answers to OnMessagePublish: the message, and that it is final.
const published = "\x08\x02"

func (u *unreliable) hook(stream grpc.ServerStream, method string, request []byte) ([]byte, error) {
	switch u.conduct.Load() {
	case hangs:
		<-stream.Context().Done()
		return nil, stream.Context().Err()
	case babbles:
		return []byte("<html><h1>502 Bad Gateway</h1></html>"), nil
	}
	if method == "OnMessagePublish" {
		return []byte(published + field(4, string(request[2:2+request[1]]))), nil
	}
	return nil, nil
}

// startHTML answers whoever connects as a web server does that has taken over the port.
func startHTML(t testing.TB, addr string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	must(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				c.Read(make([]byte, 1024)) // what came is not looked at
				io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<h1>502</h1>")
			})
		}
	})
	stop = sync.OnceFunc(func() {
		l.Close()
		serving.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func (n *emqx) publish(client, topic string) (string, error) {
	return n.call("OnMessagePublish", field(1, field(1, n.node), field(4, client), field(5, topic), field(6, "payload"))+field(2, field(1, n.node)))
}

// outcome is what became of one call.
type outcome struct {
	phase   int // in which it began
	publish bool
	ended   int // phase
	took    time.Duration
	err     error
}

// traffic is the calls of one EMQX node over its eight connections.
type traffic struct {
	phase    atomic.Int32
	open     [16]atomic.Int32 // calls by the phase in which they began
	stop     chan struct{}
	calling  sync.WaitGroup
	mu       sync.Mutex
	outcomes []outcome
}

// startTraffic begins perSecond calls a second, whether or not those before are answered. Half of them authenticate, half publish.
func startTraffic(t testing.TB, addr string, perSecond int) *traffic {
	t.Helper()
	const connections, clients = 8, 400
	tr := &traffic{stop: make(chan struct{})}
	var nodes []*emqx
	for range connections {
		nodes = append(nodes, startEMQX(t, addr, "emqx@10.0.0.1", insecure.NewCredentials()))
	}
	_, err := nodes[0].load()
	must(t, err)
	tr.calling.Go(func() {
		const turn = 5 * time.Millisecond
		pace := time.NewTicker(turn)
		defer pace.Stop()
		for i := 0; ; {
			select {
			case <-tr.stop:
				return
			case <-pace.C:
			}
			for range max(perSecond/int(time.Second/turn), 1) {
				i++
				client, publish := i%clients, i%2 == 0
				tr.calling.Go(func() { tr.one(nodes[client%connections], fmt.Sprint("device-", client/2), publish) })
			}
		}
	})
	return tr
}

func (tr *traffic) one(node *emqx, client string, publish bool) {
	o := outcome{phase: int(tr.phase.Load()), publish: publish}
	tr.open[o.phase].Add(1)
	defer tr.open[o.phase].Add(-1)
	began := time.Now()
	var answer string
	if publish {
		answer, o.err = node.publish(client, "t")
	} else {
		answer, o.err = node.authenticate(client)
	}
	o.took, o.ended = time.Since(began), int(tr.phase.Load())
	switch {
	case o.err != nil:
	case publish && !(strings.HasPrefix(answer, published) && strings.Contains(answer, client)), !publish && answer != allowed:
		o.err = fmt.Errorf("a wrong answer: %q", answer)
	}
	tr.mu.Lock()
	tr.outcomes = append(tr.outcomes, o)
	tr.mu.Unlock()
}

// end stops the calls and waits for their answers.
func (tr *traffic) end() []outcome {
	close(tr.stop)
	tr.calling.Wait()
	return tr.outcomes
}

// rate is what the binary under test is called with in a second.
func rate() int {
	if underRace {
		return 200
	}
	return 2000
}

// pass lets time go by in a phase: as many calls as are made in it.
func (tr *traffic) pass(t testing.TB, calls int) {
	t.Helper()
	tr.mu.Lock()
	until := len(tr.outcomes) + calls
	tr.mu.Unlock()
	eventually(t, func() string {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if len(tr.outcomes) < until {
			return fmt.Sprintf("%d calls of %d ended", len(tr.outcomes), until)
		}
		return ""
	})
}

// over waits until every call ended that began in an earlier phase.
func (tr *traffic) over(t testing.TB) {
	t.Helper()
	eventually(t, func() string {
		for i := range tr.phase.Load() {
			if n := tr.open[i].Load(); n > 0 {
				return fmt.Sprintf("%d calls of phase %d are not over", n, i)
			}
		}
		return ""
	})
}

func TestWithProvidersThatDieHangAndBabbleEveryCallIsAnsweredInTime(t *testing.T) {
	a, b, c := startUnreliable(t, "127.0.0.1:0"), startUnreliable(t, "127.0.0.1:0"), startUnreliable(t, "127.0.0.1:0")
	all := []*provider{a.provider, b.provider, c.provider}
	e := start(t, hooking("health: {passive: {fail_timeout: 1s}}, exhook: {timeout: 2s, retries: 2, hedge_after: 200ms}", all...))
	tr := startTraffic(t, e.addr("hooks"), rate())

	phases := []struct {
		name   string
		ailing bool // a publish that a provider has got may fail
		begin  func()
	}{
		{"all well", false, func() {}},
		{"one is killed", true, func() { a.Stop() }},
		{"and is back", true, func() { a = startUnreliable(t, a.addr); awaitInUse(e, a.addr) }},
		{"another hangs", true, func() { b.conduct.Store(hangs) }},
		{"and answers again", true, func() {
			b.conduct.Store(answers)
			tr.over(t) // the calls that it did not answer count against it until then
			awaitInUse(e, b.addr)
		}},
		{"the third babbles", true, func() { c.conduct.Store(babbles) }},
		{"and is a web server now", true, func() { c.Stop(); startHTML(t, c.addr) }},
		{"all others are up", false, func() {}},
	}
	for i, p := range phases {
		tr.phase.Store(int32(i))
		p.begin()
		tr.pass(t, rate())
	}
	outcomes := tr.end()
	t.Log(transcript(outcomes, func(i int) string { return phases[i].name }))

	if len(outcomes) < len(phases)*rate() {
		t.Errorf("only %d calls were made", len(outcomes))
	}
	failed := 0
	for _, o := range outcomes {
		if o.took >= 5*time.Second {
			t.Errorf("a call of the phase %q took %v", phases[o.phase].name, o.took)
		}
		if o.err == nil {
			continue
		}
		failed++
		ailing := false
		for _, p := range phases[o.phase : o.ended+1] {
			ailing = ailing || p.ailing
		}
		switch code := status.Code(o.err); {
		case !o.publish:
			t.Errorf("a client was not authenticated in the phase %q: %v", phases[o.phase].name, o.err)
		case !ailing:
			t.Errorf("a publish failed in the phase %q: %v", phases[o.phase].name, o.err)
		case code != codes.Unavailable && code != codes.DeadlineExceeded:
			t.Errorf("a publish failed in the phase %q: %v", phases[o.phase].name, o.err)
		case strings.Contains(o.err.Error(), context.DeadlineExceeded.Error()), errors.Is(o.err, io.EOF):
			t.Errorf("no answer came: %v", o.err)
		}
	}
	if failed > len(outcomes)/10 {
		t.Errorf("%d calls of %d failed: the ailing providers were not taken out of use", failed, len(outcomes))
	}
	// Not one of the connections had to be made anew.
	e.awaitMetric(`mqedge_connections_accepted_total{listener="hooks"}`, 8)
	e.awaitMetric(`mqedge_connections_active{listener="hooks"}`, 8)
}

// A server of grpcio answers CANCELLED to the calls that still reach it while it ends, though nobody cancelled them.
func TestAProviderThatCancelsAsItShutsDownCostsNoClientItsAuthentication(t *testing.T) {
	t.Parallel()
	ending := &provider{hooks: []string{"client.authenticate"}}
	ending.instead = func(grpc.ServerStream, string, []byte) ([]byte, error) {
		return nil, status.Error(codes.Canceled, "CANCELLED")
	}
	ending.start(t, "127.0.0.1:0", nil)
	e := start(t, hooking("exhook: {}", ending, startProvider(t, "127.0.0.1:0", "client.authenticate")))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if got, err := node.authenticate(fmt.Sprint("device-", i)); err != nil || got != allowed {
			t.Fatalf("call %d: %q %v", i, got, err)
		}
	}
}

// awaitInUse waits until calls go to a provider.
func awaitInUse(e *edge, addr string) {
	e.t.Helper()
	eventually(e.t, func() string {
		if ep := e.endpoint("hooks", addr); !ep.Up || ep.Ejected || ep.Reason != "" {
			return fmt.Sprintf("%s is out of use: %s", addr, ep.Reason)
		}
		return ""
	})
}

// transcript is a table of what became of the calls.
func transcript(outcomes []outcome, phase func(int) string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPHASE\tHOOK\tCALLS\tOK\tUNAVAILABLE\tDEADLINE_EXCEEDED\tOTHER\tMEDIAN\tP99\tLONGEST")
	most := 0
	for _, o := range outcomes {
		most = max(most, o.phase)
	}
	for i := range most + 1 {
		for _, publish := range []bool{false, true} {
			var took []time.Duration
			n := map[codes.Code]int{}
			for _, o := range outcomes {
				if o.phase == i && o.publish == publish {
					took = append(took, o.took.Round(10*time.Microsecond))
					n[status.Code(o.err)]++
				}
			}
			if len(took) == 0 {
				continue
			}
			slices.Sort(took)
			hook := "client.authenticate"
			if publish {
				hook = "message.publish"
			}
			ok, unavailable, late := n[codes.OK], n[codes.Unavailable], n[codes.DeadlineExceeded]
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t%v\n", phase(i), hook, len(took), ok, unavailable, late,
				len(took)-ok-unavailable-late, took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		}
	}
	w.Flush()
	return text.String()
}
