package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestTheHeaderAndTheConnectAreOneWrite(t *testing.T) {
	for version := byte(0); version <= 2; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
				e := newEndpoint(t, nil)
				s := settings(MQTT)
				s.Route.SendProxy = version
				secure(s)
				r := newRig(t, s, e.addr)
				client := enter(r.dial(t))
				packet := connects("one-write")["5"]
				send(t, client, packet)

				server := e.next(t)
				first := make([]byte, 64<<10)
				n, err := server.Read(first)
				must(t, err)
				rest := bytes.NewReader(first[:n])
				if version > 0 {
					buffered := bufio.NewReader(rest)
					h, err := proxyproto.Read(buffered)
					must(t, err)
					wantAddresses(t, h, version, client.LocalAddr().String(), r.addr)
					rest = bytes.NewReader(must1(io.ReadAll(buffered)))
				}
				if got := must1(io.ReadAll(rest)); !bytes.Equal(got, packet) {
					t.Errorf("behind the header came %q, want %q", got, packet)
				}
				if n := dataSegments(t, server); n != 1 {
					t.Errorf("the opening came in %d segments", n)
				}
				send(t, server, connack)
				receiveText(t, client, string(connack)) // unread bytes would make the close a reset
				until(t, "a connection listed with the bytes of its CONNECT", func() bool {
					got := r.list("", 0)
					return len(got) == 1 && got[0].BytesIn == uint64(len(packet))
				})
				client.Close()
				receiveEnd(t, server)
				server.Close()
				if got := r.wantClosed(t, "client_closed"); got.UpstreamSent != n || got.BytesReceived != len(packet) {
					t.Errorf("access log: %d bytes up, %d from the client; want %d, %d", got.UpstreamSent, got.BytesReceived, n, len(packet))
				}
			})
		})
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantAddresses(t testing.TB, h *proxyproto.Header, version byte, source, destination string) {
	t.Helper()
	if h.Version != version || h.Command != proxyproto.PROXY || !h.TransportProtocol.IsStream() {
		t.Errorf("header of version %d, command %v, protocol %v", h.Version, h.Command, h.TransportProtocol)
	}
	if h.SourceAddr.String() != source || h.DestinationAddr.String() != destination {
		t.Errorf("header says %v to %v, want %s to %s", h.SourceAddr, h.DestinationAddr, source, destination)
	}
}

// told is what an endpoint is told of a client with the certificate, if any,
// whom the listener asks for one as the mode says.
func told(t *testing.T, mode tls.ClientAuthType, resume bool, certificates ...tls.Certificate) (map[proxyproto.PP2Type]string, tlvparse.PP2SSL) {
	t.Helper()
	e := newEndpoint(t, nil)
	s := settings(MQTT)
	s.Route.SendProxy = 2
	s.TLS = serverTLS(t)
	s.TLS.NextProtos = []string{"mqtt"}
	s.TLS.SetSessionTicketKeys([][32]byte{{1}})
	s.TLS.ClientAuth, s.TLS.ClientCAs = mode, roots(t)
	r := newRig(t, s, e.addr)
	config := clientTLS(t)
	config.NextProtos = []string{"mqtt"}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &certificates[0], nil // whatever authorities the server names
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)

	enter := func() (*tls.Conn, *proxyproto.Header) {
		client := tls.Client(r.dial(t), config)
		must(t, client.Handshake())
		send(t, client, connect("x", 0))
		server := e.next(t)
		h, _ := receiveHeader(t, server)
		send(t, server, connack) // makes the client read the session ticket
		receiveText(t, client, string(connack))
		return client, h
	}
	client, h := enter()
	if resume {
		if client, h = enter(); !client.ConnectionState().DidResume {
			t.Fatal("the session was not resumed")
		}
	}
	tlvs, err := h.TLVs()
	must(t, err)
	texts := make(map[proxyproto.PP2Type]string)
	for _, tlv := range tlvs {
		texts[tlv.Type] = string(tlv.Value)
	}
	ssl, ok := tlvparse.FindSSL(tlvs)
	if !ok {
		t.Fatalf("no SSL TLV in %v", tlvs)
	}
	state := client.ConnectionState()
	if v, _ := ssl.SSLVersion(); v != "TLSv1.3" {
		t.Errorf("TLS version %q", v)
	}
	if c, _ := ssl.SSLCipher(); c != tls.CipherSuiteName(state.CipherSuite) {
		t.Errorf("cipher %q, want %s", c, tls.CipherSuiteName(state.CipherSuite))
	}
	if !ssl.ClientSSL() {
		t.Error("the SSL TLV does not say that the client uses TLS")
	}
	return texts, ssl
}

func TestV2TellsTheServerNameAndTheALPN(t *testing.T) {
	texts, _ := told(t, tls.NoClientCert, false)
	if texts[proxyproto.PP2_TYPE_AUTHORITY] != "edge.test" || texts[proxyproto.PP2_TYPE_ALPN] != "mqtt" {
		t.Errorf("TLVs %q", texts)
	}
	if len(texts) != 3 {
		t.Errorf("%d TLVs, want AUTHORITY, ALPN and SSL: %q", len(texts), texts)
	}
}

func TestV2TellsTheCommonNameOfAVerifiedCertificate(t *testing.T) {
	for _, resume := range []bool{false, true} {
		for given, want := range map[string]string{
			"device-7":               "device-7",
			"dev\nice\u0085-\x7f8\t": "device-8",
			"Gerät":                  "Gerät",
		} {
			leaf := certificate(t, ca.Leaf{CommonName: given, Client: true})
			_, ssl := told(t, tls.RequireAndVerifyClientCert, resume, leaf)
			if cn, ok := ssl.ClientCN(); cn != want || !ok {
				t.Errorf("common name %q, want %q", cn, want)
			}
			if !ssl.Verified() || !ssl.ClientCertConn() || !ssl.ClientCertSess() {
				t.Errorf("%q: client %#x, verify %d", given, ssl.Client, ssl.Verify)
			}
		}
	}
}

func TestV2TellsNoCommonNameOfAnUnverifiedCertificate(t *testing.T) {
	leaf := certificate(t, ca.Leaf{CommonName: "admin", Client: true})
	other, err := ca.New()
	must(t, err)
	certPEM, keyPEM, err := other.Issue(ca.Leaf{CommonName: "admin", Client: true})
	must(t, err)
	stranger, err := tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	cases := []struct {
		name string
		mode tls.ClientAuthType
		with []tls.Certificate
	}{
		{"nobody verifies it", tls.RequestClientCert, []tls.Certificate{leaf}},
		{"a stranger's", tls.RequireAnyClientCert, []tls.Certificate{stranger}},
		{"none given", tls.VerifyClientCertIfGiven, nil},
		{"none asked for", tls.NoClientCert, []tls.Certificate{leaf}},
	}
	for _, c := range cases {
		_, ssl := told(t, c.mode, false, c.with...)
		if cn, ok := ssl.ClientCN(); ok {
			t.Errorf("%s: common name %q", c.name, cn)
		}
		if ssl.Verified() {
			t.Errorf("%s: it is said to be verified", c.name)
		}
	}
}

func TestV2OfAPlainConnectionHasNoTLVs(t *testing.T) {
	e := newEndpoint(t, nil)
	s := settings(TCP)
	s.Route.SendProxy = 2
	r := newRig(t, s, e.addr)
	r.dial(t)
	h, _ := receiveHeader(t, e.next(t))
	if tlvs, err := h.TLVs(); err != nil || len(tlvs) != 0 {
		t.Errorf("TLVs %v, %v", tlvs, err)
	}
}

func TestIPv6AddressesAreTold(t *testing.T) {
	for version := byte(1); version <= 2; version++ {
		e := newEndpoint(t, nil)
		s := settings(TCP)
		s.Route.SendProxy = version
		r := prepareRig(t, "[::1]:0", s, e.addr)
		r.serve()
		client := r.dial(t)
		h, _ := receiveHeader(t, e.next(t))
		wantAddresses(t, h, version, client.LocalAddr().String(), r.addr)
		if h.TransportProtocol != proxyproto.TCPv6 {
			t.Errorf("v%d: protocol %v", version, h.TransportProtocol)
		}
	}
}

func TestAnIPv4ClientOfADualStackSocketIsToldAsIPv4(t *testing.T) {
	e := newEndpoint(t, nil)
	s := settings(TCP)
	s.Route.SendProxy = 2
	r := prepareRig(t, "[::]:0", s, e.addr)
	r.serve()
	r.addr = fmt.Sprintf("127.0.0.1:%d", netip.MustParseAddrPort(r.addr).Port())
	client := r.dial(t)
	h, _ := receiveHeader(t, e.next(t))
	wantAddresses(t, h, 2, client.LocalAddr().String(), r.addr)
	if h.TransportProtocol != proxyproto.TCPv4 {
		t.Errorf("protocol %v", h.TransportProtocol)
	}
}

func TestAHeaderOfBothFamiliesIsIPv6(t *testing.T) {
	for _, in := range []string{
		"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 4000 8883\r\n",
		"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.7 8883 4000\r\n",
	} {
		for version := byte(1); version <= 2; version++ {
			e := newEndpoint(t, nil)
			s := settings(TCP)
			s.Route.SendProxy, s.Trust = version, prefixes("127.0.0.0/8")
			r := newRig(t, s, e.addr)
			send(t, r.dial(t), []byte(in))
			h, _ := receiveHeader(t, e.next(t))
			source, destination, ok := h.TCPAddrs()
			if !ok || h.TransportProtocol != proxyproto.TCPv6 {
				t.Fatalf("v%d: %+v", version, h)
			}
			got := fmt.Sprint(unmap(source.AddrPort()), unmap(destination.AddrPort()))
			if got != "192.0.2.7:4000 [2001:db8::1]:8883" && got != "[2001:db8::1]:8883 192.0.2.7:4000" {
				t.Errorf("v%d: %s", version, got)
			}
		}
	}
}
