package certs

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/certs/ca"
)

func openClient(t testing.TB, o ClientOptions) *ClientStore {
	t.Helper()
	return must[*ClientStore](t)(OpenClient("emqx", o, quiet))
}

func TestAnUpstreamIsVerifiedByTheCAFileAndSeesTheClientCertificate(t *testing.T) {
	m := newMutual(t)
	server := open(t, m.o, nil).ServerConfig()
	device := m.putPair("device", m.device)
	dial := openClient(t, ClientOptions{CAFile: m.file("ca.pem"), CertFile: device.CertFile, KeyFile: device.KeyFile})
	eachVersion(t, func(t *testing.T, version uint16) {
		config := dial.ClientConfig("edge.example")
		config.MaxVersion = version
		c := connect(t, server, config).ok(t)
		if got := c.server.ConnectionState().VerifiedChains[0][0].SerialNumber.Text(16); got != serialOf(t, m.device) {
			t.Error("another certificate arrived")
		}
	})
	if !connect(t, server, dial.ClientConfig("edge.example")).ok(t).resumed() {
		t.Error("a second connection was not resumed")
	}
	if c := connect(t, server, dial.ClientConfig("other.example")); c.clientErr == nil || !strings.Contains(c.clientErr.Error(), "other.example") {
		t.Errorf("a server with another name: %v", c.clientErr)
	}
	if c := connect(t, server, dial.ClientConfig("")); c.clientErr == nil {
		t.Error("without a name nothing can be verified")
	}
}

func TestTheConfiguredServerNameGoesBeforeTheEndpoints(t *testing.T) {
	m := newMutual(t)
	m.o.ClientAuth = None
	dial := openClient(t, ClientOptions{CAFile: m.file("ca.pem"), ServerName: "edge.example"})
	connect(t, open(t, m.o, nil).ServerConfig(), dial.ClientConfig("10.0.0.1")).ok(t)
}

func TestWithoutACAFileTheSystemsCAsDecide(t *testing.T) {
	m := newMutual(t)
	m.o.ClientAuth = None
	c := connect(t, open(t, m.o, nil).ServerConfig(), openClient(t, ClientOptions{}).ClientConfig("edge.example"))
	if c.clientErr == nil || !strings.Contains(c.clientErr.Error(), "unknown authority") {
		t.Errorf("client: %v", c.clientErr)
	}
}

func TestNewClientFilesApplyToNewConnectionsAndEndOldSessions(t *testing.T) {
	m := newMutual(t)
	server := open(t, m.o, nil).ServerConfig()
	device := m.putPair("device", m.device)
	dial := openClient(t, ClientOptions{CAFile: m.file("ca.pem"), CertFile: device.CertFile, KeyFile: device.KeyFile})
	dial.poll = 5 * time.Millisecond
	defer start(t, dial)()
	connect(t, server, dial.ClientConfig("edge.example")).ok(t)

	renewed := issue(t, m.authority, ca.Leaf{CommonName: "device", Client: true})
	m.putPair("device", renewed)
	eventually(t, "the server sees the new certificate", func() bool {
		peer := connect(t, server, dial.ClientConfig("edge.example")).ok(t).server.ConnectionState().PeerCertificates[0]
		return peer.SerialNumber.Text(16) == serialOf(t, renewed)
	})

	m.put("ca.pem", newCA(t).PEM())
	eventually(t, "the server's CA is not trusted any more", func() bool {
		return connect(t, server, dial.ClientConfig("edge.example")).clientErr != nil
	})
}

func TestBrokenClientFilesAreNamedAndKeepTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMutual(t)
		if _, err := OpenClient("emqx", ClientOptions{CAFile: m.file("gone.pem")}, quiet); err == nil ||
			!strings.Contains(err.Error(), "TLS to emqx: CA file "+m.file("gone.pem")+": no such file or directory: create it") {
			t.Errorf("%v", err)
		}
		device := m.putPair("device", issue(t, m.authority, ca.Leaf{CommonName: "device", Client: true, NotAfter: time.Now().Add(time.Minute)}))
		var log bytes.Buffer
		dial := must[*ClientStore](t)(OpenClient("emqx", ClientOptions{CertFile: device.CertFile, KeyFile: device.KeyFile}, textLog(&log)))
		defer start(t, dial)()
		m.put("device.key", []byte("garbage"))
		<-time.After(5 * time.Minute)
		synctest.Wait()
		status := dial.Status()
		if !strings.Contains(status.Error, m.file("device.key")) || len(status.Certificates) != 1 || status.CAs != 0 {
			t.Errorf("%+v", status)
		}
		if _, err := dial.ClientConfig("edge.example").GetClientCertificate(&tls.CertificateRequestInfo{}); err != nil {
			t.Error(err)
		}
		if count(&log, "ERROR") != 1 || count(&log, "WARN") != 1 {
			t.Errorf("one error and one warning of the expiry are due: %s", log.String())
		}
	})
}
