package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

const ticketKeysInAFile = `
listeners:
  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s], ticket_keys_file: %q}}
upstreams:
  emqx: {endpoints: %s}
`

func TestSessionsResumeAfterARestartAndOnEveryEdgeWithTheSameFile(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	pair := pki.server().yaml()
	config := func(file string) string { return fmt.Sprintf(ticketKeysInAFile, pair, file, endpoints(node.address())) }
	file := filepath.Join(t.TempDir(), "ticket-keys")
	clients := rememberingClients(pki)

	first := start(t, config(file))
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Fatalf("the file that was missing: %v, %v", info, err)
	}
	for _, client := range clients {
		if resumes(t, first, "mqtts", client) {
			t.Fatal("resumed what never began")
		}
	}
	first.signal(syscall.SIGTERM)
	first.exit()

	second, third := start(t, config(file)), start(t, config(file))
	stranger := start(t, config(filepath.Join(t.TempDir(), "ticket-keys")))
	for version, client := range clients {
		for step, e := range []*edge{second, third, second} {
			if !resumes(t, e, "mqtts", client) {
				t.Errorf("%s, step %d: a full handshake", tls.VersionName(version), step)
			}
		}
		if resumes(t, stranger, "mqtts", client) {
			t.Errorf("%s: resumed by an edge with another file", tls.VersionName(version))
		}
	}
}

func TestAReloadRollsTheSecretsOfTicketsOver(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	file := filepath.Join(t.TempDir(), "ticket-keys")
	mustWrite(t, file, []byte(ticketSecret(1)))
	e := start(t, fmt.Sprintf(ticketKeysInAFile, pki.server().yaml(), file, endpoints(node.address())))
	clients := rememberingClients(pki)
	expect := func(when string, want bool) {
		t.Helper()
		for version, client := range clients {
			if got := resumes(t, e, "mqtts", client); got != want {
				t.Errorf("%s, %s: resumed %v", when, tls.VersionName(version), got)
			}
		}
	}
	expect("at first", false)
	for _, step := range []struct {
		when, file string
		resumed    bool
	}{
		{"with a second secret to read with", ticketSecret(1) + ticketSecret(2), true},
		{"with the second one to write with", ticketSecret(2) + ticketSecret(1), true},
		{"with the second one alone", ticketSecret(2), true},
		{"with a third one alone", ticketSecret(3), false},
	} {
		mustWrite(t, file, []byte(step.file))
		if !e.hup() {
			t.Fatalf("%s: the reload failed", step.when)
		}
		expect(step.when, step.resumed)
	}

	const failed = `mqedge_certificate_reload_failed{kind="listener",name="mqtts"}`
	mustWrite(t, file, []byte(ticketSecret(4)+"broken\n"))
	e.awaitMetric(failed, 1)
	e.awaitLog("changed TLS files cannot be used, the old ones stay in use", file, "line 2")
	if e.hup() {
		t.Error("a reload took a broken file")
	}
	e.awaitLog("reload failed", file, "line 2", "openssl rand -base64 32")
	expect("with a broken file", true)
	mustWrite(t, file, []byte(ticketSecret(3)))
	e.awaitMetric(failed, 0)
	expect("with a file that is good again", true)
}

func TestARestartOpensNoWayRoundTheRuleForClientCertificates(t *testing.T) {
	t.Parallel()
	pki, strangers, node := newAuthority(t), newAuthority(t), startBroker(t)
	device := pki.issue("device", ca.Leaf{CommonName: "device-7", Client: true})
	listener := fmt.Sprintf("bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s], ticket_keys_file: %q",
		pki.server().yaml(), filepath.Join(t.TempDir(), "ticket-keys"))
	config := fmt.Sprintf(`
listeners:
  open: {%[1]s}}
  asks: {%[1]s, client_auth: request, client_ca_file: %[2]q}}
  needs: {%[1]s, client_auth: require, client_ca_file: %[2]q}}
  needs-too: {%[1]s, client_auth: require, client_ca_file: %[2]q}}
  strange: {%[1]s, client_auth: request, client_ca_file: %[3]q}}
upstreams:
  emqx: {send_proxy: v2, endpoints: %[4]s}
`, listener, pki.file(), strangers.file(), endpoints(node.Addr()))

	first := start(t, config)
	froms := []string{"open", "asks", "needs", "strange"}
	clients := map[string]map[uint16]*tls.Config{}
	for _, from := range froms {
		shown := []keyPair{device}
		if from == "strange" {
			shown = nil // it would be refused
		}
		clients[from] = rememberingClients(pki, shown...)
		for _, client := range clients[from] {
			resumes(t, first, from, client)
		}
	}
	first.signal(syscall.SIGTERM)
	first.exit()

	second := start(t, config)
	for _, from := range froms[:3] {
		for version, client := range clients[from] {
			for _, to := range []string{"open", "asks", "needs"} {
				tried := client.Clone() // with the first's tickets for each
				tried.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				kept, _ := client.ClientSessionCache.Get(client.ServerName)
				tried.ClientSessionCache.Put(client.ServerName, kept)
				if got := resumes(t, second, to, tried); got != (from == to) {
					t.Errorf("%s: a ticket of %q for %q: resumed %v", tls.VersionName(version), from, to, got)
				}
			}
		}
	}
	for version, client := range clients["strange"] {
		if resumes(t, second, "asks", client) {
			t.Errorf("%s: a ticket given without a certificate saved showing one to other CAs", tls.VersionName(version))
		}
	}
	for version, client := range clients["needs"] {
		id := fmt.Sprintf("over %s", tls.VersionName(version))
		conn := dialTLS(t, second.addr("needs-too"), client)
		if _, err := introduce(conn, id, 0); err != nil || !conn.ConnectionState().DidResume {
			t.Errorf("%s, the same rule: resumed %v, %v", id, conn.ConnectionState().DidResume, err)
		}
		if got := node.client(t, id).TLVs; got.CN != "device-7" || got.Verify != 0 {
			t.Errorf("%s: of a resumed session the broker was told %+v", id, got)
		}
	}
}

func TestCheckLeavesAMissingTicketKeysFileMissing(t *testing.T) {
	t.Parallel()
	pki, dir := newAuthority(t), t.TempDir()
	file := filepath.Join(dir, "ticket-keys")
	text := fmt.Sprintf(ticketKeysInAFile, pki.server().yaml(), file, endpoints("127.0.0.1:1"))
	mustWrite(t, filepath.Join(dir, "mqedge.yaml"), []byte(strings.Replace(text, "127.0.0.1:0", "127.0.0.1:8884", 1)))
	if _, errs, code := run(t, "check", filepath.Join(dir, "mqedge.yaml")); code != 0 {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("check made the file")
	}
}

// rememberingClients are one for each version, with a memory for its last ticket.
func rememberingClients(pki *authority, shown ...keyPair) map[uint16]*tls.Config {
	clients := map[uint16]*tls.Config{}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := pki.trusting(shown...)
		config.MaxVersion = version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		clients[version] = config
	}
	return clients
}

// resumes connects a client, lets it have a ticket and reports whether its session was resumed.
func resumes(t testing.TB, e *edge, listener string, config *tls.Config) bool {
	t.Helper()
	conn := dialTLS(t, e.addr(listener), config)
	defer conn.Close()
	if _, err := introduce(conn, "c", 0); err != nil { // reads the ticket, too
		t.Fatal(err)
	}
	return conn.ConnectionState().DidResume
}

// ticketSecret is a line of a file of ticket keys.
func ticketSecret(fill byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)) + "\n"
}
