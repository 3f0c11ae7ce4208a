package certs

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestClientCertificatesAreIgnoredRequestedOrRequired(t *testing.T) {
	authority, stranger := newCA(t), newCA(t)
	pair := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	known := issue(t, authority, ca.Leaf{CommonName: "device", Client: true})
	unknown := issue(t, stranger, ca.Leaf{CommonName: "device", Client: true})
	cas := newFolder(t).put("ca.pem", authority.PEM())

	eachVersion(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name     string
			auth     ClientAuth
			pair     KeyPair
			verified bool
			alert    string // what the client is told, if anything
		}{
			{"none, and the client has one", None, known, false, ""},
			{"requested and none there", Request, KeyPair{}, false, ""},
			{"requested and good", Request, known, true, ""},
			{"requested and of another CA", Request, unknown, false, "unknown certificate authority"},
			{"required and none there", Require, KeyPair{}, false, map[uint16]string{
				tls.VersionTLS12: "handshake failure", tls.VersionTLS13: "certificate required"}[version]},
			{"required and good", Require, known, true, ""},
			{"required and of another CA", Require, unknown, false, "unknown certificate authority"},
		} {
			t.Run(test.name, func(t *testing.T) {
				store := open(t, Options{Certificates: []KeyPair{pair}, ClientAuth: test.auth, ClientCAFile: cas}, nil)
				config := client(t, authority, KeyPair{})
				config.MaxVersion = version
				if len(test.pair.CertPEM) > 0 { // shown even when the server names other CAs
					shown := pairOf(t, test.pair)
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
				}
				c := connect(t, store.ServerConfig(), config)
				if test.alert != "" {
					if c.serverErr == nil || c.clientErr == nil || !strings.Contains(c.clientErr.Error(), test.alert) {
						t.Fatalf("server: %v, client: %v; want the alert %q", c.serverErr, c.clientErr, test.alert)
					}
					return
				}
				if got := len(c.ok(t).server.ConnectionState().VerifiedChains) > 0; got != test.verified {
					t.Errorf("verified: %v, want %v", got, test.verified)
				}
			})
		}
	})
}

func TestVersionsCipherSuitesAndALPNAreAsConfigured(t *testing.T) {
	authority := newCA(t)
	pair := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	store := open(t, Options{
		Certificates: []KeyPair{pair},
		MinVersion:   tls.VersionTLS11,
		MaxVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		ALPN:         []string{"mqtt", "x-amzn-mqtt-ca"},
	}, nil)

	config := client(t, authority, KeyPair{})
	config.NextProtos = []string{"x-amzn-mqtt-ca", "mqtt"}
	state := connect(t, store.ServerConfig(), config).ok(t).client.ConnectionState()
	if state.Version != tls.VersionTLS12 || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 || state.NegotiatedProtocol != "mqtt" {
		t.Errorf("got %s, %s, %q", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.NegotiatedProtocol)
	}

	config.MinVersion, config.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	if got := connect(t, store.ServerConfig(), config).ok(t).client.ConnectionState().Version; got != tls.VersionTLS11 {
		t.Errorf("an old device got %s", tls.VersionName(got))
	}

	config = client(t, authority, KeyPair{})
	config.MinVersion = tls.VersionTLS13
	if c := connect(t, store.ServerConfig(), config); c.clientErr == nil || !strings.Contains(c.clientErr.Error(), "protocol version") {
		t.Errorf("a version above the highest: %v", c.clientErr)
	}
}

func TestAClientThatOffersOnlyOtherProtocolsIsRefusedAndOneThatOffersNoneIsNot(t *testing.T) {
	authority := newCA(t)
	pair := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	store := open(t, Options{Certificates: []KeyPair{pair}, ALPN: []string{"mqtt"}}, nil)
	eachVersion(t, func(t *testing.T, version uint16) {
		config := client(t, authority, KeyPair{})
		config.MaxVersion = version
		connect(t, store.ServerConfig(), config).ok(t)
		config.NextProtos = []string{"http/1.1"}
		c := connect(t, store.ServerConfig(), config)
		if c.clientErr == nil || !strings.Contains(c.clientErr.Error(), "no application protocol") {
			t.Errorf("client: %v, want the alert no_application_protocol", c.clientErr)
		}
	})
}

func TestOpenNamesTheFileAndTheRemedy(t *testing.T) {
	authority, other := newCA(t), newCA(t)
	files := newFolder(t)
	good := files.putPair("good", issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}}))
	another := files.putPair("another", issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}}))
	garbage := files.put("garbage", []byte("garbage"))
	encrypted := files.put("encrypted.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
	damaged := files.put("damaged.pem", append(authority.PEM(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...))
	cas := files.put("ca.pem", authority.PEM())
	foreign := files.put("foreign.crl", crlOf(t, other))
	one := []KeyPair{good}

	for name, test := range map[string]struct {
		o    Options
		want string // %D stands for the folder
	}{
		"no certificate":  {Options{}, "add at least one certificate"},
		"missing":         {Options{Certificates: []KeyPair{{CertFile: files.file("gone.pem"), KeyFile: good.KeyFile}}}, "certificate %D/gone.pem: no such file or directory: create it or correct the path"},
		"a directory":     {Options{Certificates: []KeyPair{{CertFile: files.path, KeyFile: good.KeyFile}}}, "certificate %D: not a regular file"},
		"no key":          {Options{Certificates: []KeyPair{{CertFile: good.CertFile}}}, "certificate %D/good.pem: no key file is given"},
		"garbage":         {Options{Certificates: []KeyPair{{CertFile: garbage, KeyFile: good.KeyFile}}}, "certificate %D/garbage: no PEM certificate in it"},
		"garbage key":     {Options{Certificates: []KeyPair{{CertFile: good.CertFile, KeyFile: garbage}}}, "key %D/garbage: failed to find any PEM data"},
		"encrypted key":   {Options{Certificates: []KeyPair{{CertFile: good.CertFile, KeyFile: encrypted}}}, "key %D/encrypted.key: encrypted with a passphrase: decrypt it"},
		"wrong key":       {Options{Certificates: []KeyPair{{CertFile: good.CertFile, KeyFile: another.KeyFile}}}, "key %D/another.key: private key does not match public key: put the PEM private key there that belongs to the first certificate of %D/good.pem"},
		"versions":        {Options{Certificates: one, MaxVersion: tls.VersionTLS11}, "the highest version TLS 1.1 is below the lowest, TLS 1.2"},
		"no CA file":      {Options{Certificates: one, ClientAuth: Request}, "add the file of CAs"},
		"damaged CA":      {Options{Certificates: one, ClientAuth: Require, ClientCAFile: damaged}, "CA file %D/damaged.pem: PEM certificate number 2"},
		"CRL without CA":  {Options{Certificates: one, ClientCRLFile: foreign}, "client CRL %D/foreign.crl: no client CA file"},
		"CRL of a foe":    {Options{Certificates: one, ClientCAFile: cas, ClientCRLFile: foreign}, "client CRL %D/foreign.crl: CRL number 1, of CN=" + other.Cert.Subject.CommonName + ": the client CA file has no CA of this name: put complete CRLs there"},
		"CRL is garbage":  {Options{Certificates: one, ClientCAFile: cas, ClientCRLFile: garbage}, "client CRL %D/garbage: CRL number 1: malformed"},
		"CRL is a CA":     {Options{Certificates: one, ClientCAFile: cas, ClientCRLFile: cas}, "client CRL %D/ca.pem: no CRL in it"},
		"no such mode":    {Options{Certificates: one, ClientAuth: 7}, "use none, request or require"},
		"certificate gap": {Options{Certificates: []KeyPair{{KeyFile: good.KeyFile}}}, "key %D/good.key: no certificate file is given"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open("mqtts", test.o, nil, quiet)
			want := "TLS of mqtts: "
			if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), strings.ReplaceAll(test.want, "%D", files.path)) {
				t.Errorf("got  %v\nwant %s… %s", err, want, test.want)
			}
		})
	}
}
