package broker_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/mqedge/mqedge/demo/broker"
)

const v1 = "PROXY TCP4 203.0.113.7 198.51.100.1 50123 8883\r\n"

func TestAV1HeaderGivesTheClientsAddress(t *testing.T) {
	b := start(t, broker.Options{ProxyProtocol: true})
	connect(t, b, "device", dialWith([]byte(v1)))
	got := b.Clients()[0]
	want := broker.Client{
		ID: "device", Addr: netip.MustParseAddrPort("203.0.113.7:50123"),
		ProxyVersion: 1, ProxySource: netip.MustParseAddrPort("203.0.113.7:50123"), ProxyDestination: netip.MustParseAddrPort("198.51.100.1:8883"),
		CleanSession: true, ProtocolVersion: 4, Keepalive: 30,
	}
	if got != want {
		t.Errorf("client %+v\nwant   %+v", got, want)
	}
}

func TestAV2HeaderGivesAddressesAndTLVs(t *testing.T) {
	b := start(t, broker.Options{ProxyProtocol: true})
	h := proxyproto.HeaderProxyFromAddrs(2, tcpAddr("[2001:db8::7]:50123"), tcpAddr("[2001:db8::1]:8883"))
	setTLVs(t, h, "sensor-7")
	connect(t, b, "device", dialWith(format(t, h)))
	got := b.Clients()[0]
	wantTLVs := broker.TLVs{
		Authority: "mqtt.example.com", ALPN: "mqtt",
		SSL: true, SSLVersion: "TLSv1.3", SSLCipher: "TLS_AES_128_GCM_SHA256", CN: "sensor-7",
	}
	if got.TLVs != wantTLVs {
		t.Errorf("TLVs %+v\nwant %+v", got.TLVs, wantTLVs)
	}
	if got.ProxyVersion != 2 || got.Addr.String() != "[2001:db8::7]:50123" || got.ProxyDestination.String() != "[2001:db8::1]:8883" {
		t.Errorf("version %d, addresses %s → %s", got.ProxyVersion, got.Addr, got.ProxyDestination)
	}
}

func TestAHeaderMayComeByteByByteTogetherWithTheCONNECT(t *testing.T) {
	for name, header := range map[string][]byte{
		"v1": []byte(v1),
		"v2": format(t, proxyproto.HeaderProxyFromAddrs(2, tcpAddr("203.0.113.7:50123"), tcpAddr("198.51.100.1:8883"))),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, broker.Options{ProxyProtocol: true})
			c := dial(t, b.Addr(), nil)
			for _, each := range append(header, connectPacket("device")...) {
				if _, err := c.Write([]byte{each}); err != nil {
					t.Fatal(err)
				}
			}
			expectConnack(t, c)
			if got := b.Clients()[0].Addr.String(); got != "203.0.113.7:50123" {
				t.Errorf("client address %s", got)
			}
		})
	}
}

func TestAHeaderWithoutAddressesLeavesThePeersAddress(t *testing.T) {
	local := append(append([]byte{}, proxyproto.SIGV2...), 0x20, 0x11, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for name, header := range map[string][]byte{"v1 UNKNOWN": []byte("PROXY UNKNOWN\r\n"), "v2 LOCAL": local} {
		t.Run(name, func(t *testing.T) {
			b := start(t, broker.Options{ProxyProtocol: true})
			c := dial(t, b.Addr(), append(header, connectPacket("device")...))
			expectConnack(t, c)
			got := b.Clients()[0]
			if got.Addr.Port() != port(t, c.LocalAddr()) || got.ProxySource.IsValid() || got.ProxyVersion == 0 {
				t.Errorf("client %+v, want the address %s and no source", got, c.LocalAddr())
			}
		})
	}
}

func TestAConnectionWithoutAHeaderIsClosedAfterTheTimeout(t *testing.T) {
	for name, first := range map[string][]byte{"silence": nil, "a CONNECT": connectPacket("device"), "half a header": []byte(v1[:20])} {
		t.Run(name, func(t *testing.T) {
			const timeout = 100 * time.Millisecond
			refused := make(chan broker.Event, 1)
			b := start(t, broker.Options{ProxyProtocol: true, ProxyTimeout: timeout, OnEvent: func(e broker.Event) { refused <- e }})
			began := time.Now()
			expectClosed(t, dial(t, b.Addr(), first))
			if took := time.Since(began); took < timeout {
				t.Errorf("closed after %s, before the timeout", took)
			}
			if e := <-refused; e.Kind != broker.Refused || e.Err == nil {
				t.Errorf("event %v with error %v, want refused with an error", e.Kind, e.Err)
			}
		})
	}
}

func TestTheHeaderTimeoutIsThatOfEMQXUnlessGiven(t *testing.T) {
	b := start(t, broker.Options{ProxyProtocol: true})
	began := time.Now()
	expectClosed(t, dial(t, b.Addr(), nil))
	if took := time.Since(began).Round(time.Second / 2); took != 3*time.Second {
		t.Errorf("closed after %s, want 3s", took)
	}
}

func TestWhatEMQXRefusesIsRefusedAtOnce(t *testing.T) {
	v2 := func(b ...byte) []byte { return append(append([]byte{}, proxyproto.SIGV2...), b...) }
	control := proxyproto.HeaderProxyFromAddrs(2, tcpAddr("203.0.113.7:1"), tcpAddr("198.51.100.1:2"))
	setTLVs(t, control, "sensor\x007")
	for name, first := range map[string][]byte{
		"another protocol":           []byte("GET / HTTP/1.1\r\n"),
		"one that starts like PROXY": []byte("POST / HTTP/1.1\r\n"),
		"LOCAL of length 0":          v2(0x20, 0x00, 0, 0),
		"PROXY UNSPEC":               v2(0x21, 0x00, 0, 0),
		"datagrams":                  v2(0x21, 0x12, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2),
		"a truncated TLV":            v2(0x21, 0x11, 0, 15, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2, 0x02, 0, 9),
		"a control character":        format(t, control),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, broker.Options{ProxyProtocol: true, ProxyTimeout: time.Minute})
			expectClosed(t, dial(t, b.Addr(), append(first, connectPacket("device")...)))
		})
	}
}

func TestAHeaderThatIsNotExpectedIsGarbage(t *testing.T) {
	refused := make(chan broker.Event, 1)
	b := start(t, broker.Options{OnEvent: func(e broker.Event) { refused <- e }})
	expectClosed(t, dial(t, b.Addr(), append([]byte("PROXY TCP4 203.0.113.7 198.51.100.1 50123 8883\r\n"), append(connectPacket("device"), make([]byte, 64)...)...)))
	if e := <-refused; e.Kind != broker.Refused {
		t.Errorf("event %v, want refused", e.Kind)
	}
}

func tcpAddr(s string) *net.TCPAddr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func format(t *testing.T, h *proxyproto.Header) []byte {
	t.Helper()
	raw, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func setTLVs(t *testing.T, h *proxyproto.Header, cn string) {
	t.Helper()
	ssl, err := tlvparse.PP2SSL{Client: tlvparse.PP2_BITFIELD_CLIENT_SSL | tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN, TLV: []proxyproto.TLV{
		{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte("TLSv1.3")},
		{Type: proxyproto.PP2_SUBTYPE_SSL_CIPHER, Value: []byte("TLS_AES_128_GCM_SHA256")},
		{Type: proxyproto.PP2_SUBTYPE_SSL_CN, Value: []byte(cn)},
	}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	err = h.SetTLVs([]proxyproto.TLV{
		{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("mqtt.example.com")},
		{Type: proxyproto.PP2_TYPE_ALPN, Value: []byte("mqtt")},
		ssl,
	})
	if err != nil {
		t.Fatal(err)
	}
}
