package proxy

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	theClient = "192.0.2.7:4000"
	theDialed = "198.51.100.1:8883"
)

// headerOf formats a header that says theClient dialled theDialed.
func headerOf(t testing.TB, version byte, tlvs ...proxyproto.TLV) []byte {
	t.Helper()
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	h := proxyproto.HeaderProxyFromAddrs(version, tcp(theClient), tcp(theDialed))
	must(t, h.SetTLVs(tlvs))
	b, err := h.Format()
	must(t, err)
	return b
}

// rawV2 is a v2 header with any command, family and content.
func rawV2(command, family byte, length int, content []byte) []byte {
	b := append([]byte(signatureV2), command, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(length)), content...)
}

// trusting are settings that send the addresses on, so that the endpoint sees what was believed.
func trusting(p Protocol) *Settings {
	s := settings(p)
	s.Trust = prefixes("127.0.0.1/32")
	s.Route.SendProxy = 2
	return s
}

func TestATrustedHeaderIsBelievedWithWhatFollowsInItsSegment(t *testing.T) {
	tlv := proxyproto.TLV{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: bytes.Repeat([]byte{7}, 900)}
	headers := map[string][]byte{"v1": headerOf(t, 1), "v2": headerOf(t, 2), "v2 with TLVs": headerOf(t, 2, tlv)}
	eachTransport(t, func(t *testing.T, secure func(*Settings), _ func(*net.TCPConn) stream) {
		for name, header := range headers {
			e := newEndpoint(t, nil)
			s := trusting(MQTT)
			secure(s)
			r := newRig(t, s, e.addr)
			tcp := r.dial(t)
			packet := connect("behind-a-balancer", 0)
			var client net.Conn = tcp
			if s.TLS == nil {
				send(t, tcp, append(bytes.Clone(header), packet...))
			} else {
				// The first flight of TLS rides along with the header.
				client = tls.Client(&withPrefix{tcp, header}, clientTLS(t))
				send(t, client, packet)
			}
			server := e.next(t)
			h, rest := receiveHeader(t, server)
			wantAddresses(t, h, 2, theClient, theDialed)
			receiveText(t, rest, string(packet))
			if got := r.list("behind-a-balancer", 0); len(got) != 1 || got[0].Peer.String() != tcp.LocalAddr().String() {
				t.Errorf("%s: connections %+v", name, got)
			}
			send(t, server, connack)
			receiveText(t, client, string(connack)) // unread bytes would make the close a reset
			client.Close()
			receiveEnd(t, server)
			server.Close()
			if got := r.wantClosed(t, "client_closed"); got.ProxyProtocolAddr != "192.0.2.7" || got.RemoteAddr != "127.0.0.1" {
				t.Errorf("%s: access log %+v", name, got)
			}
		}
	})
}

// withPrefix puts bytes before the first write, in one segment with it.
type withPrefix struct {
	net.Conn
	prefix []byte
}

func (c *withPrefix) Write(p []byte) (int, error) {
	if len(c.prefix) == 0 {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(append(c.prefix, p...))
	n -= len(c.prefix)
	c.prefix = nil
	return n, err
}

func TestATrustedHeaderMayBeCutAtEveryByte(t *testing.T) {
	for name, header := range map[string][]byte{"v1": headerOf(t, 1), "v2": headerOf(t, 2)} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			r := newRig(t, trusting(MQTT), e.addr)
			packet := connect("cut", 0)
			whole := append(bytes.Clone(header), packet...)
			for cut := 1; cut < len(whole); cut++ {
				client := r.dial(t)
				send(t, client, whole[:cut])
				send(t, client, whole[cut:])
				server := e.next(t)
				h, rest := receiveHeader(t, server)
				wantAddresses(t, h, 2, theClient, theDialed)
				receiveText(t, rest, string(packet))
				client.Close()
				server.Close()
			}
			client := r.dial(t)
			sendEach(client, whole)
			h, rest := receiveHeader(t, e.next(t))
			wantAddresses(t, h, 2, theClient, theDialed)
			receiveText(t, rest, string(packet))
		})
	}
}

func TestALocalHeaderMeansTheRealAddresses(t *testing.T) {
	address := make([]byte, 12)
	for name, header := range map[string][]byte{
		"v1 UNKNOWN":                []byte("PROXY UNKNOWN\r\n"),
		"v1 UNKNOWN with addresses": []byte("PROXY UNKNOWN 192.0.2.7 198.51.100.1 4000 8883\r\n"),
		"v2 LOCAL":                  rawV2(0x20, 0x00, 0, nil),
		"v2 LOCAL with addresses":   rawV2(0x20, 0x11, 12, address),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			r := newRig(t, trusting(MQTT), e.addr)
			client := r.dial(t)
			packet := connect("health-check", 0)
			send(t, client, append(bytes.Clone(header), packet...))
			h, rest := receiveHeader(t, e.next(t))
			wantAddresses(t, h, 2, client.LocalAddr().String(), r.addr)
			receiveText(t, rest, string(packet))
		})
	}
}

func TestATrustedPeerWithoutAValidHeaderIsRefused(t *testing.T) {
	address := make([]byte, 216)
	for name, sent := range map[string][]byte{
		"garbage":                  []byte("\xde\xad\xbe\xef"),
		"a CONNECT":                connect("no header", 0),
		"almost a signature":       []byte("PROXIED"),
		"over-long v1":             append([]byte("PROXY TCP4 "), bytes.Repeat([]byte{'1'}, 200)...),
		"v1 with a host name":      []byte("PROXY TCP4 localhost 198.51.100.1 4000 8883\r\n"),
		"v1 with a port too large": []byte("PROXY TCP4 192.0.2.7 198.51.100.1 65536 8883\r\n"),
		"v1 with too few fields":   []byte("PROXY TCP4 192.0.2.7\r\n"),
		"v1 with a bare newline":   []byte("PROXY TCP4 192.0.2.7 198.51.100.1 4000 8883\n\r\n"),
		"v2 UNIX":                  rawV2(0x21, 0x31, 216, address),
		"v2 UDP":                   rawV2(0x21, 0x12, 12, address[:12]),
		"v2 UNSPEC":                rawV2(0x21, 0x00, 0, nil),
		"v2 of length 60000":       rawV2(0x21, 0x11, 60000, nil),
		"v2 too short for IPv6":    rawV2(0x21, 0x21, 12, address[:12]),
		"v2 of version 3":          rawV2(0x31, 0x11, 12, address[:12]),
		"v2 of an unknown command": rawV2(0x2f, 0x11, 12, address[:12]),
		"v2 of an unknown family":  rawV2(0x21, 0x51, 12, address[:12]),
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range []Protocol{MQTT, TCP} {
				e := newEndpoint(t, nil)
				r := newRig(t, trusting(p), e.addr)
				client := r.dial(t)
				send(t, client, sent)
				receiveEnd(t, client)
				r.wantRefused(t, "proxy_header_invalid", 400)
				e.wantNoDials(t)
				if r.Stats().LastRefusal == "" {
					t.Error("no last refusal")
				}
			}
		})
	}
}

func TestATrustedPeerThatSendsNoWholeHeaderInTimeIsClosed(t *testing.T) {
	t.Parallel()
	header := headerOf(t, 2)
	for name, sent := range map[string][]byte{
		"nothing": nil, "half of v1": []byte("PROXY TCP4 192."), "half of v2": header[:14], "v2 less a byte": header[:len(header)-1],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const timeout = 200 * time.Millisecond
			e := newEndpoint(t, nil)
			s := trusting(MQTT)
			s.ProxyTimeout = timeout
			r := newRig(t, s, e.addr)
			client := r.dial(t)
			start := time.Now()
			send(t, client, sent)
			receiveEnd(t, client)
			took := time.Since(start)
			r.wantRefused(t, "proxy_header_timeout", 400)
			e.wantNoDials(t)
			if took < timeout-50*time.Millisecond || took > timeout+2*time.Second {
				t.Errorf("closed after %v, want %v", took, timeout)
			}
		})
	}
}

func TestATrustedPeerThatLeavesBeforeItsHeaderIsWholeIsGone(t *testing.T) {
	for _, sent := range []string{"", "PROXY TCP4"} {
		for _, reset := range []bool{false, true} { // some load balancers end their checks so
			e := newEndpoint(t, nil)
			r := newRig(t, trusting(TCP), e.addr)
			client := r.dial(t)
			send(t, client, []byte(sent))
			if reset {
				must(t, client.SetLinger(0))
			}
			client.Close()
			r.wantRefused(t, "client_gone", 400)
			e.wantNoDials(t)
		}
	}
}

// 127.0.0.2 is a peer that nobody trusts.
const stranger = "127.0.0.2"

func TestAnUntrustedHeaderIsNeitherHonouredNorPassedOn(t *testing.T) {
	cases := []struct {
		name     string
		protocol Protocol
		tls      bool
		reason   string
	}{
		{"mqtt", MQTT, false, "not_mqtt"},
		{"mqtt over TLS", MQTT, true, "tls_failed"},
		{"tcp", TCP, false, "proxy_header_untrusted"},
		{"tcp over TLS", TCP, true, "tls_failed"},
		{"mqtt_ws", MQTTOverWebSocket, false, "proxy_header_untrusted"},
	}
	for _, c := range cases {
		for version := byte(1); version <= 2; version++ {
			for _, each := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s v%d each byte %v", c.name, version, each), func(t *testing.T) {
					e := newEndpoint(t, nil)
					s := trusting(c.protocol)
					if c.tls {
						s.TLS = serverTLS(t)
					}
					r := newRig(t, s, e.addr)
					client := r.dialFrom(t, stranger)
					sent := append(headerOf(t, version), connect("forged", 0)...)
					if each {
						sendEach(client, sent)
					} else {
						send(t, client, sent)
					}
					receiveEnd(t, client)
					r.wantRefused(t, c.reason, 400)
					e.wantNoDials(t)
					if got := r.lines(t, 1)[0]; got.RemoteAddr != stranger || got.ProxyProtocolAddr != "" {
						t.Errorf("access log: %+v", got)
					}
				})
			}
		}
	}
}

func TestAnUntrustedPeerWithoutAHeaderIsServedUnderItsRealAddress(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		for _, p := range []Protocol{TCP, MQTT} {
			e := newEndpoint(t, nil)
			s := trusting(p)
			secure(s)
			r := newRig(t, s, e.addr)
			client := enter(r.dialFrom(t, stranger))
			sent := string(connect("honest", 0))
			if p == TCP {
				sent = "PRO and \r\n\r\n are no headers"
			}
			sendEach(client, []byte(sent))
			h, rest := receiveHeader(t, e.next(t))
			wantAddresses(t, h, 2, client.LocalAddr().String(), r.addr)
			receiveText(t, rest, sent)
		}
	})
}

func TestASilentUntrustedPeerEndsAtTheIdleTimeout(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, nil)
	s := trusting(TCP)
	s.IdleTimeout = 100 * time.Millisecond
	r := newRig(t, s, e.addr)
	receiveEnd(t, r.dialFrom(t, stranger))
	r.wantRefused(t, "idle_timeout", 400)
	e.wantNoDials(t)
}

func TestASilentUntrustedPeerOfAWebSocketListenerHasNoMoreTimeThanOthers(t *testing.T) {
	s := settings(MQTTOverWebSocket)
	s.Trust = prefixes("192.0.2.0/24")
	s.ConnectTimeout, s.MaxHalfOpen = 200*time.Millisecond, 1
	r := newRig(t, s)
	receiveEnd(t, r.dial(t))
	r.wantRefused(t, "connect_timeout", 400)
}

func TestADeniedUntrustedPeerNeedNotSpeakToBeRefused(t *testing.T) {
	for reason, rule := range map[string]func(*Settings){
		"denied":                 func(s *Settings) { s.Deny = prefixes(stranger + "/32") },
		"max_connections_per_ip": func(s *Settings) { s.MaxConnectionsPerIP = 1 },
	} {
		t.Run(reason, func(t *testing.T) {
			e := newEndpoint(t, nil)
			s := trusting(TCP)
			rule(s)
			r := newRig(t, s, e.addr)
			r.dialFrom(t, stranger) // either of them may be the first
			r.dialFrom(t, stranger)
			if got := r.lines(t, 1)[0]; got.Reason != reason {
				t.Errorf("access log: %+v", got)
			}
			e.wantNoDials(t)
		})
	}
}

func TestAnIPv4PrefixTrustsAPeerOfADualStackSocket(t *testing.T) {
	e := newEndpoint(t, nil)
	r := prepareRig(t, "[::]:0", trusting(TCP), e.addr)
	r.serve()
	r.addr = fmt.Sprintf("127.0.0.1:%d", netip.MustParseAddrPort(r.addr).Port())
	send(t, r.dial(t), append(headerOf(t, 1), "hello"...))
	h, rest := receiveHeader(t, e.next(t))
	wantAddresses(t, h, 2, theClient, theDialed)
	receiveText(t, rest, "hello")

	client := r.dialFrom(t, stranger)
	send(t, client, headerOf(t, 1))
	if got, err := io.ReadAll(client); len(got) > 0 {
		t.Errorf("a stranger got %q, %v", got, err)
	}
}
