package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/credentials/insecure"
)

// notify is one of the hooks of clients and sessions.
func (n *emqx) notify(method, client string) error {
	_, err := n.call(method, field(1, field(1, n.node), field(2, client))+field(2, field(1, n.node)))
	return err
}

// lives are the notifications of clients that connect and leave, over and over, in their order.
var lives = []string{"OnSessionCreated", "OnClientConnected", "OnClientDisconnected", "OnSessionTerminated"}

const earlyHooks = "session.created, client.connected, client.disconnected, session.terminated"

// live sends some lives of some clients, one client's calls in turn as EMQX does.
func (n *emqx) live(clients, times int) {
	n.t.Helper()
	for range times {
		for _, method := range lives {
			for i := range clients {
				if err := n.notify(method, fmt.Sprint("device-", i)); err != nil {
					n.t.Fatalf("%s: %v", method, err)
				}
			}
		}
	}
}

// deliveries are the notifications that providers got of a client, the providers one after the other.
func deliveries(client string, from ...*provider) []string {
	var all []string
	for _, p := range from {
		for _, call := range p.heard() {
			if method, of, _ := strings.Cut(call, " "); of == client && method != "" {
				all = append(all, method)
			}
		}
	}
	return all
}

func inOrder(t testing.TB, clients, times int, from ...*provider) {
	t.Helper()
	want := slices.Repeat(lives, times)
	for i := range clients {
		client := fmt.Sprint("device-", i)
		if got := deliveries(client, from...); !slices.Equal(got, want) {
			t.Errorf("%s: the providers heard %q", client, got)
		}
	}
}

func TestWhatIsAnsweredEarlyIsDeliveredInOrderAlsoByAProviderThatRestarts(t *testing.T) {
	t.Parallel()
	const clients, times = 20, 5
	names := strings.Split(earlyHooks, ", ")
	first := startGate(t, names...)
	e := start(t, hooking("exhook: {early_ack: ["+earlyHooks+"]}", first.provider))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}

	// The provider answers nothing, and EMQX does not notice.
	node.live(clients, times)
	eventually(t, func() string {
		if n := first.came.Load(); n != clients {
			return fmt.Sprintf("%d notifications have come: not the first of each of %d clients", n, clients)
		}
		return ""
	})
	// It dies with them, and another comes in its place.
	first.Stop()
	second := startProvider(t, first.addr, names...)
	eventually(t, func() string {
		if n := len(second.heard()); n < 1+clients*times*len(lives) {
			return fmt.Sprintf("%d notifications have come", n)
		}
		return ""
	})
	inOrder(t, clients, times, second)
	e.awaitMetric(`mqedge_exhook_early_ack_queued_total{hook="client.connected",upstream="hooks"}`, clients*times)
	if n := e.metrics()[`mqedge_exhook_early_ack_dropped_total{hook="client.connected",upstream="hooks"}`]; n != 0 {
		t.Errorf("%v were dropped", n)
	}
}

func TestTERMWaitsForTheDeliveryOfWhatWasAnsweredEarly(t *testing.T) {
	t.Parallel()
	const clients, times = 20, 5
	p := startGate(t, strings.Split(earlyHooks, ", ")...)
	e := start(t, hooking("exhook: {early_ack: ["+earlyHooks+"]}", p.provider))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	node.live(clients, times)
	e.signal(syscall.SIGTERM)
	e.awaitLog("msg=draining")
	node.conn.Close()
	if e.hasEnded() {
		t.Error("it ended with notifications left")
	}
	close(p.open)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	inOrder(t, clients, times, p.provider)
}

func TestTERMGivesUpDeliveryAtTheDeadline(t *testing.T) {
	t.Parallel()
	p := startGate(t, "client.connected")
	e := start(t, "drain: {over: 0s, deadline: 300ms}\n"+hooking("exhook: {early_ack: [client.connected]}", p.provider))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	must(t, node.notify("OnClientConnected", "device"))
	e.signal(syscall.SIGTERM)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	e.awaitLog("drain.deadline reached", "answered early", "upstream=hooks")
}

func TestEarlyAnswersGoOnOverAReloadThatChangesTheProviders(t *testing.T) {
	t.Parallel()
	const clients, times = 20, 5
	names := strings.Split(earlyHooks, ", ")
	a, b := startProvider(t, "127.0.0.1:0", names...), startProvider(t, "127.0.0.1:0", names...)
	const more = "exhook: {early_ack: [" + earlyHooks + "]}"
	e := start(t, hooking(more, a))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	node.live(clients, times)
	e.reload(hooking(more, b))
	node.live(clients, times)
	eventually(t, func() string {
		if n := len(a.heard()) + len(b.heard()); n < 2+2*clients*times*len(lives) {
			return fmt.Sprintf("%d notifications have come", n)
		}
		return ""
	})
	inOrder(t, clients, 2*times, a, b)
	if calls := b.heard(); len(calls) == 0 || calls[0] != "OnProviderLoaded" {
		t.Errorf("the new provider heard first %q", calls[:min(len(calls), 1)])
	}
}

func TestAReloadThatChangesTheProvidersLosesNoCall(t *testing.T) {
	var all []*provider
	for range 3 {
		all = append(all, startUnreliable(t, "127.0.0.1:0").provider)
	}
	e := start(t, hooking("exhook: {}", all[:2]...))
	tr := startTraffic(t, e.addr("hooks"), rate()/2)
	for i := range 8 {
		tr.phase.Store(int32(i))
		tr.pass(t, rate()/10)
		switch i % 4 {
		case 0:
			e.reload(hooking("exhook: {}", all[1:]...))
		case 1:
			e.reload(hooking("exhook: {retries: 2, hedge_after: 1s}", all...))
		case 2:
			e.reload(strings.Replace(hooking("exhook: {timeout: 3s}", all[2]), "balance: hash", "balance: round_robin", 1))
		case 3:
			e.reload(hooking("exhook: {}", all[:2]...))
		}
	}
	outcomes := tr.end()
	t.Log(transcript(outcomes, func(i int) string { return fmt.Sprint("before reload ", i+1) }))
	for _, o := range outcomes {
		if o.err != nil {
			t.Errorf("before reload %d: %v", o.phase+1, o.err)
		}
	}
	e.awaitMetric(`mqedge_connections_accepted_total{listener="hooks"}`, 8)
}
