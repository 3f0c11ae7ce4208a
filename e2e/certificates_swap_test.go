package e2e

import (
	"crypto/tls"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const oneCertificate = `
listeners:
  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s]}}
upstreams:
  emqx: {endpoints: %s}
`

func TestASymlinkSwapAsKubernetesDoesItBringsTheNewCertificateAndKeepsConnections(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	volume := t.TempDir()
	leaf := issued("edge.example")
	provide := func(version string) *big.Int { // a mounted secret: tls.crt -> ..data/tls.crt, ..data -> ..version
		dir := filepath.Join(volume, ".."+version)
		must(t, os.Mkdir(dir, 0o755))
		pair := keyPair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
		pki.reissue(pair, leaf)
		must(t, os.Symlink(".."+version, filepath.Join(volume, "..data_tmp")))
		must(t, os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")))
		return pair.leaf(t).SerialNumber
	}
	first := provide("2026_01_01")
	mounted := keyPair{filepath.Join(volume, "tls.crt"), filepath.Join(volume, "tls.key")}
	must(t, os.Symlink("..data/tls.crt", mounted.cert))
	must(t, os.Symlink("..data/tls.key", mounted.key))
	e := start(t, fmt.Sprintf(oneCertificate, mounted.yaml(), endpoints(node.address())))
	if got := serial(t, e); got.Cmp(first) != 0 {
		t.Fatalf("serial %x, want %x", got, first)
	}
	d := mustConnect(t, e.addr("mqtts"), pki.trusting(), "stays")

	second := provide("2026_02_02")
	must(t, os.RemoveAll(filepath.Join(volume, "..2026_01_01")))
	eventually(t, func() string {
		if got := serial(t, e); got.Cmp(second) != 0 {
			return fmt.Sprintf("serial %x, want %x", got, second)
		}
		return ""
	})
	e.awaitLog("changed TLS files are in use", "mqtts")
	must(t, d.ping())
}

// serial is that of the certificate new clients are shown.
func serial(t testing.TB, e *edge) *big.Int {
	t.Helper()
	return shownCertificate(t, e.addr("mqtts"), &tls.Config{ServerName: "edge.example"}).SerialNumber
}

func TestABrokenCertificateFileKeepsTheOldOneAndSaysSoEverywhere(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	pair := pki.server()
	e := start(t, fmt.Sprintf(oneCertificate, pair.yaml(), endpoints(node.address())))
	before := serial(t, e)
	d := mustConnect(t, e.addr("mqtts"), pki.trusting(), "stays")
	const failed = `mqedge_certificate_reload_failed{kind="listener",name="mqtts"}`
	e.awaitMetric(failed, 0)

	mustWrite(t, pair.cert, []byte("half a certifi"))
	e.awaitMetric(failed, 1)
	e.awaitLog("changed TLS files cannot be used, the old ones stay in use", pair.cert)
	if got := serial(t, e); got.Cmp(before) != 0 {
		t.Errorf("new clients are shown %x, want %x as before", got, before)
	}
	all := fetch[[]certificateState](e, "/api/v1/certificates")
	if len(all) != 1 || !strings.Contains(all[0].Error, pair.cert) || all[0].File != pair.cert {
		t.Errorf("/api/v1/certificates: %+v", all)
	}
	if out, _, _ := run(t, "status", "--admin", e.admin); !strings.Contains(out, "ERROR") || !strings.Contains(out, pair.cert) {
		t.Errorf("mqedge status:\n%s", out)
	}
	if e.hup() {
		t.Error("a reload took a configuration whose certificate cannot be read")
	}
	mustConnect(t, e.addr("mqtts"), pki.trusting(), "comes")

	pki.reissue(pair, issued("edge.example"))
	e.awaitMetric(failed, 0)
	e.awaitLog("TLS files are good again and in use")
	if got := serial(t, e); got.Cmp(before) == 0 {
		t.Error("the repaired files are not in use")
	}
	must(t, d.ping())
}

func TestSessionsResumeAcrossAReloadAndANewCertificate(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	pair := pki.server()
	e := start(t, fmt.Sprintf(oneCertificate, pair.yaml(), endpoints(node.address())))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := pki.trusting()
		config.MaxVersion = version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		resumed := func(when string, want bool) {
			t.Helper()
			conn := dialTLS(t, e.addr("mqtts"), config)
			if _, err := introduce(conn, "c", 0); err != nil { // reads the ticket, too
				t.Fatal(err)
			}
			if got := conn.ConnectionState().DidResume; got != want {
				t.Errorf("%s, %s: resumed %v", tls.VersionName(version), when, got)
			}
		}
		resumed("at first", false)
		resumed("at once", true)
		if !e.hup() {
			t.Fatal("the reload failed")
		}
		resumed("after a reload", true)
		pki.reissue(pair, issued("edge.example"))
		want := pair.leaf(t).SerialNumber
		eventually(t, func() string {
			if serial(t, e).Cmp(want) != 0 {
				return "the new certificate is not in use"
			}
			return ""
		})
		resumed("after a new certificate", true)
	}
	m := e.metrics()
	if got := m[`mqedge_tls_handshakes_total{listener="mqtts",result="resumed"}`]; got != 6 {
		t.Errorf("%v resumed handshakes were counted, want 6", got)
	}
}
