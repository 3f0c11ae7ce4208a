package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestSessionsResumeOnEveryEdgeOfTheClusterAndAfterARestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	pki, strangers, node := newAuthority(t), newAuthority(t), startBroker(t)
	device := pki.issue("device", ca.Leaf{CommonName: "device-7", Client: true})
	pair := pki.server().yaml()
	config := func(cas string, file string) string {
		return fmt.Sprintf(`
listeners:
  open: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%[1]s]}}
  other: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%[1]s]}}
  needs: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%[1]s], client_auth: request, client_ca_file: %[2]q}}
  file: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%[1]s], ticket_keys_file: %[3]q}}
upstreams:
  emqx: {send_proxy: v2, endpoints: %[4]s}
%[5]s`, pair, cas, file, endpoints(node.Addr()), strings.Replace(c.section(""), "{name", "{state_file: state, name", 1))
	}
	launch := func(cas string) *edge {
		e := c.prepare(config(cas, filepath.Join(t.TempDir(), "own")))
		e.launch()
		e.awaitReady()
		e.awaitSecrets()
		return e
	}
	x := launch(pki.file())
	y, strange := launch(pki.file()), launch(strangers.file())

	for version, client := range rememberingClients(pki) {
		name := tls.VersionName(version)
		eventually(t, func() string { // x may have begun with keys of its own
			resumes(t, x, "open", client)
			if !resumes(t, y, "open", client) {
				return name + ": a session of one edge is not resumed by the other"
			}
			return ""
		})
		if !resumes(t, x, "open", client) || !resumes(t, strange, "open", client) {
			t.Errorf("%s: not resumed by all", name)
		}
		for _, listener := range []string{"other", "needs", "file"} {
			if resumes(t, y, listener, copyOf(client)) {
				t.Errorf("%s: the listener %s resumed a session of another", name, listener)
			}
		}
	}
	// A client without a certificate was not asked for one of the right CA by an edge with others.
	for version, client := range rememberingClients(pki) {
		resumes(t, strange, "needs", client)
		if resumes(t, x, "needs", client) {
			t.Errorf("%s: resumed under another rule for client certificates", tls.VersionName(version))
		}
	}
	withCertificate := rememberingClients(pki, device)
	for version, client := range withCertificate {
		resumes(t, x, "needs", client)
		id := "over " + tls.VersionName(version)
		conn := dialTLS(t, y.addr("needs"), client)
		if _, err := introduce(conn, id, 0); err != nil || !conn.ConnectionState().DidResume {
			t.Errorf("%s: resumed %v, %v", id, conn.ConnectionState().DidResume, err)
		}
		if got := node.client(t, id).TLVs; got.CN != "device-7" || got.Verify != 0 {
			t.Errorf("%s: of a resumed session the broker was told %+v", id, got)
		}
	}

	// One that restarts hears of the keys before it serves anybody, and no file has them.
	y.signal(syscall.SIGTERM)
	y.exit()
	again := newEdge(t, string(mustRead(t, y.path("mqedge.yaml"))))
	mustWrite(t, again.path("keys"), []byte(c.keys))
	again.launch()
	again.awaitReady()
	for version, client := range withCertificate {
		if !resumes(t, again, "needs", client) {
			t.Errorf("%s: not resumed after a restart", tls.VersionName(version))
		}
	}
	if text := string(mustRead(t, y.path("state"))); strings.Contains(text, "tickets") {
		t.Errorf("the state file has secrets: %s", text)
	}

	// Without sharing nothing more is resumed elsewhere.
	text := string(mustRead(t, x.path("mqedge.yaml")))
	x.reload(strings.Replace(text, "state_file: state", "state_file: state, share: [drains]", 1))
	for version, client := range rememberingClients(pki) {
		resumes(t, again, "open", client)
		if resumes(t, x, "open", client) {
			t.Errorf("%s: resumed by an edge that shares no keys", tls.VersionName(version))
		}
	}
}

// awaitSecrets waits until the edge knows of secrets.
func (e *edge) awaitSecrets() {
	e.t.Helper()
	eventually(e.t, func() string {
		if e.metrics()[`mqedge_gossip_facts{kind="tickets"}`] == 0 {
			return "no secrets"
		}
		return ""
	})
}

func copyOf(config *tls.Config) *tls.Config {
	c := config.Clone()
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	kept, _ := config.ClientSessionCache.Get(config.ServerName)
	c.ClientSessionCache.Put(config.ServerName, kept)
	return c
}

func TestOpenSSLResumesOnAnotherEdgeOfTheCluster(t *testing.T) {
	t.Parallel()
	openssl := program(t, "openssl")
	c := newCluster(t)
	pair, node := newAuthority(t).server().yaml(), startFake(t, acknowledge)
	var all []*edge
	for range 2 {
		all = append(all, c.prepare(fmt.Sprintf("listeners:\n  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s]}}\nupstreams:\n  emqx: {endpoints: %s}\n%s",
			pair, endpoints(node.address()), c.section(""))))
	}
	for _, e := range all {
		e.launch()
		e.awaitReady()
	}
	all[1].awaitSecrets()
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := filepath.Join(t.TempDir(), "session")
		eventually(t, func() string { // the first may have begun with keys of its own
			if out := handshake(t, openssl, all[0], session, version, "-sess_out", session); !strings.Contains(out, "New, TLSv1.") {
				t.Fatalf("%s: %s", version, out)
			}
			if out := handshake(t, openssl, all[1], "", version, "-sess_in", session); !strings.Contains(out, "Reused, TLSv1.") {
				return version + ": a full handshake"
			}
			return ""
		})
	}
}

// handshake runs s_client until it has written the file of a session, if one is named, and returns what it says.
func handshake(t *testing.T, openssl string, e *edge, file string, options ...string) string {
	t.Helper()
	client := exec.Command(openssl, append([]string{"s_client", "-connect", e.addr("mqtts"), "-servername", "edge.example"}, options...)...)
	var out output
	client.Stdout = &out
	in, err := client.StdinPipe()
	must(t, err)
	must(t, client.Start())
	eventually(t, func() string {
		if file != "" {
			if text, _ := os.ReadFile(file); !strings.Contains(string(text), "END SSL SESSION") {
				return "no session yet"
			}
		}
		if !strings.Contains(out.text(), "Cipher is") {
			return "no handshake yet: " + out.text()
		}
		return ""
	})
	in.Close()
	client.Wait() // the edge ends a connection without CONNECT as it likes
	return out.text()
}
