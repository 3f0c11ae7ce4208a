package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

type connectionList struct {
	Total       int
	Connections []struct {
		connectionState
		Upstream       string
		ClientIDBase64 []byte `json:"client_id_base64"`
	}
}

const twoListeners = `
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
  other: {bind: 127.0.0.1:0, upstream: second}
upstreams:
  emqx: {balance: round_robin, endpoints: %s}
  second: {endpoints: %s}
`

func TestConnectionsAreListedByWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	a, b, c := startFake(t, acknowledge), startFake(t, acknowledge), startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(twoListeners, endpoints(a.address(), b.address()), endpoints(c.address())))
	for i := range 6 {
		mustConnect(t, e.addr("mqtt"), nil, fmt.Sprintf("dev-%d", i))
	}
	strange := "\x1b[31m\xff温度\n"
	d := mustConnect(t, e.addr("other"), nil, strange)

	list := func(args ...string) string {
		t.Helper()
		out, errs, code := run(t, append([]string{"connections", "--admin", e.admin}, args...)...)
		if code != 0 || errs != "" {
			t.Errorf("mqedge connections %q: %d %s", args, code, errs)
		}
		return out
	}
	for want, args := range map[string][]string{
		"7 connections":              nil,
		"6 connections":              {"--listener", "mqtt"},
		"1 connection":               {"--upstream", "second"},
		"3 connections":              {"--endpoint", a.address()},
		"showing 2 of 6 connections": {"--upstream", "emqx", "--limit", "2"},
		"showing 1 of 7 connections": {"--limit", "1"},
		"no connections":             {"--upstream", "second", "--endpoint", a.address()},
	} {
		out := list(args...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if lines[len(lines)-1] != want {
			t.Errorf("mqedge connections %q: want %s:\n%s", args, want, out)
		}
	}
	out := list("--client-id", strange)
	if !containsAll(out, []string{`\x1b[31m\xff温度\x0a`, d.LocalAddr().String(), "other", c.address(), "3.1.1", "1 connection"}) ||
		regexp.MustCompile(`[^\n\PC]`).MatchString(out) {
		t.Errorf("a strange client: %q", out)
	}

	var got connectionList
	out = list("--json", "--client-id", strange)
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Total != 1 {
		t.Fatalf("--json: %v in %s", err, out)
	}
	if one := got.Connections[0]; string(one.ClientIDBase64) != strange || one.Upstream != "second" || one.Listener != "other" {
		t.Errorf("--json: %+v", one)
	}
	out = list("--json", "--limit", "3")
	got = connectionList{}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Total != 7 || len(got.Connections) != 3 {
		t.Errorf("--json --limit 3: %v in %s", err, out)
	}

	for _, args := range [][]string{{"--client-id", "dev-6"}, {"--client-id", "dev-1", "--listener", "other"}, {"--listener", "mqt"}} {
		if _, errs, code := run(t, append([]string{"connections", "--admin", e.admin}, args...)...); code != 1 || !strings.Contains(errs, "no ") {
			t.Errorf("mqedge connections %q: %d %s", args, code, errs)
		}
	}
}

func TestTheCommandKickClosesAClientByTheBytesOfItsID(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "admin: {bind: \"127.0.0.1:0\", token_file: token}\n"+
		fmt.Sprintf(twoListeners, endpoints(startFake(t, acknowledge).address()), endpoints(startFake(t, acknowledge).address())))
	mustWrite(t, e.path("token"), []byte("secret\n"))
	e.launch()
	e.awaitReady()
	id := "-\xff/ ?&%"
	one, two := mustConnect(t, e.addr("mqtt"), nil, id), mustConnect(t, e.addr("other"), nil, id)
	stays := mustConnect(t, e.addr("mqtt"), nil, "stays")

	if _, errs, code := run(t, "kick", "--admin", e.admin, "--", id); code != 1 || !strings.Contains(errs, "token") {
		t.Errorf("without the token: %d %s", code, errs)
	}
	must(t, one.ping())
	kick := []string{"kick", "--admin", e.admin, "--token-file", e.path("token"), "--", id}
	if out, errs, code := run(t, kick...); code != 0 || out != "kicked 2\n" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	awaitClosed(t, one)
	awaitClosed(t, two)
	must(t, stays.ping())
	e.awaitActive("other", 0)
	if out, errs, code := run(t, kick...); code != 1 || out != "" || !strings.Contains(errs, "no client") {
		t.Errorf("a client that is gone: %d %s%s", code, out, errs)
	}
}
