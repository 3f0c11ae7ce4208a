package e2e

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestSessionsResumeOnEveryEdgeOfTheClusterAndAfterARestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 6)
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
