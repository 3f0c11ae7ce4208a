package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/mqedge/mqedge/proxy/relay"
)

// The PROXY protocol, https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt.

const (
	signatureV1 = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"

	maxHeaderV1 = 107  // section 2.1
	maxHeaderV2 = 4096 // the length field allows 64 KiB; addresses and known TLVs take a fraction
)

var errNotProxyHeader = errors.New("the peer is in proxy_protocol.trust but does not begin with a PROXY header")

// readProxyHeader reads the header of a trusted peer and takes the addresses
// from it. What it read beyond the header is read from the stream again.
func (c *conn) readProxyHeader(stream *relay.Conn) error {
	stream.SetReadDeadline(time.Now().Add(c.early.settings.ProxyTimeout))
	defer stream.SetReadDeadline(time.Time{})
	header, unread, err := readHeader(stream)
	stream.Unread(unread)
	if err == nil {
		err = c.believe(header)
	}
	switch {
	case err == nil:
		return nil
	case isTimeout(err):
		return &refusal{reason: reasonProxyTimeout, status: 400}
	case isGone(err):
		return &refusal{reason: reasonClientGone, status: 400}
	default:
		return &refusal{reason: reasonProxyInvalid, status: 400, err: err}
	}
}

// believe takes the addresses from a trusted header.
func (c *conn) believe(h *proxyproto.Header) error {
	if h.Command.IsLocal() {
		return nil // the peer itself, say a health check: the real addresses hold (section 2.2)
	}
	source, destination, ok := h.TCPAddrs()
	if !ok {
		return errors.New("the PROXY header names no TCP addresses")
	}
	client := unmap(source.AddrPort())
	x := c.more()
	c.mu.Lock() // others may list it
	x.client, c.early.dialled = client, unmap(destination.AddrPort())
	c.mu.Unlock()
	return nil
}

// refuseProxyHeader makes sure that a header from a peer that is not trusted
// does not reach an endpoint. TLS and MQTT see for themselves that it is none
// of theirs; on the other protocols the first bytes are looked at, so there
// such a peer has to speak first.
func (c *conn) refuseProxyHeader(stream *relay.Conn) error {
	s := c.early.settings
	if s.TLS != nil || s.Protocol == MQTT {
		return nil
	}
	most, reason := s.IdleTimeout, string(relay.IdleTimeout)
	if s.Protocol.isMQTT() {
		most, reason = s.ConnectTimeout, reasonConnectTimeout
	}
	if most > 0 {
		stream.SetReadDeadline(time.Now().Add(most))
		defer stream.SetReadDeadline(time.Time{})
	}
	buf := make([]byte, 0, 512)
	for {
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case bytes.HasPrefix(buf, []byte(signatureV1)), bytes.HasPrefix(buf, []byte(signatureV2)):
			return &refusal{reason: reasonProxyUntrusted, status: 400, err: fmt.Errorf("%s is not in proxy_protocol.trust", c.peer().Addr())}
		case len(buf) > 0 && !strings.HasPrefix(signatureV1, string(buf)) && !strings.HasPrefix(signatureV2, string(buf)):
			stream.Unread(buf)
			return nil
		case isTimeout(err):
			return &refusal{reason: reason, status: 400, err: err}
		case err != nil:
			return &refusal{reason: reasonClientGone, status: 400, err: err}
		}
	}
}

// readHeader reads a PROXY header, however it is cut into pieces, and returns
// what came behind it.
func readHeader(r io.Reader) (*proxyproto.Header, []byte, error) {
	buf := make([]byte, 0, 512)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		size, herr := headerSize(buf)
		if herr != nil {
			return nil, nil, herr
		}
		if size > 0 && len(buf) >= size {
			h, herr := proxyproto.Read(bufio.NewReader(bytes.NewReader(buf[:size])))
			return h, buf[size:], herr
		}
		if err != nil {
			return nil, nil, err
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, maxHeaderV2+16), buf...)
		}
	}
}

// headerSize returns the size of the header that b begins with, or 0 while that
// can't be told.
func headerSize(b []byte) (int, error) {
	switch {
	case bytes.HasPrefix(b, []byte(signatureV1)):
		if end := bytes.Index(b[:min(len(b), maxHeaderV1)], []byte("\r\n")); end >= 0 {
			return end + 2, nil
		}
		if len(b) >= maxHeaderV1 {
			return 0, fmt.Errorf("a PROXY v1 header of more than %d bytes", maxHeaderV1)
		}
		return 0, nil
	case bytes.HasPrefix(b, []byte(signatureV2)):
		if len(b) < 16 {
			return 0, nil
		}
		n := int(binary.BigEndian.Uint16(b[14:]))
		if n > maxHeaderV2 {
			return 0, fmt.Errorf("a PROXY v2 header of %d bytes, at most %d", n, maxHeaderV2)
		}
		return 16 + n, nil
	case strings.HasPrefix(signatureV1, string(b)), strings.HasPrefix(signatureV2, string(b)):
		return 0, nil
	}
	return 0, errNotProxyHeader
}

// appendProxyHeader appends the header that tells an endpoint who the client
// is: source the real client, destination the address it dialled.
func (c *conn) appendProxyHeader(dst []byte, version byte) ([]byte, error) {
	dialled := c.early.dialled
	if !dialled.IsValid() {
		dialled = unmap(c.early.stream.Local())
	}
	source, destination := sameFamily(c.from(), dialled)
	if version == 1 {
		return appendHeaderV1(dst, source, destination), nil
	}
	var tlvs []byte
	if t := c.tls(); t != nil {
		list, err := t.tlvs()
		if err != nil {
			return nil, err
		}
		if tlvs, err = proxyproto.JoinTLVs(list); err != nil {
			return nil, err
		}
	}
	return appendHeaderV2(dst, source, destination, tlvs), nil
}

// The library's own writing of these two costs eight allocations, for each
// connection.

// appendHeaderV1 is section 2.1, for addresses of one family.
func appendHeaderV1(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, "PROXY TCP4 "...)
	if source.Addr().Is6() {
		dst[len(dst)-2] = '6'
	}
	dst = append(source.Addr().WithZone("").AppendTo(dst), ' ')
	dst = append(destination.Addr().WithZone("").AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(destination.Port()), 10), "\r\n"...)
}

// appendHeaderV2 is section 2.2, for addresses of one family.
func appendHeaderV2(dst []byte, source, destination netip.AddrPort, tlvs []byte) []byte {
	dst = append(dst, signatureV2...)
	const proxy, tcp4, tcp6 = 0x21, 0x11, 0x21 // version 2 with the command; family with the transport
	if source.Addr().Is4() {
		dst = append(dst, proxy, tcp4)
		dst = binary.BigEndian.AppendUint16(dst, uint16(2*4+2*2+len(tlvs)))
		from, to := source.Addr().As4(), destination.Addr().As4()
		dst = append(append(dst, from[:]...), to[:]...)
	} else {
		dst = append(dst, proxy, tcp6)
		dst = binary.BigEndian.AppendUint16(dst, uint16(2*16+2*2+len(tlvs)))
		from, to := source.Addr().As16(), destination.Addr().As16()
		dst = append(append(dst, from[:]...), to[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	dst = binary.BigEndian.AppendUint16(dst, destination.Port())
	return append(dst, tlvs...)
}

// sameFamily maps IPv4 into IPv6 where only one of the addresses is IPv4: a
// header has one family for both.
func sameFamily(a, b netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	if a.Addr().Is4() == b.Addr().Is4() {
		return a, b
	}
	in6 := func(ap netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(ap.Addr().As16()), ap.Port())
	}
	return in6(a), in6(b)
}

// tlvs are the type-length-values of section 2.2.1 that EMQX understands:
// ALPN, AUTHORITY (the server name) and SSL. EMQX takes the common name for a
// user name without looking at the verify field, so an unverified one is never
// sent, and it cuts connections over control characters.
func (t *tlsInfo) tlvs() ([]proxyproto.TLV, error) {
	var out []proxyproto.TLV
	add := func(list *[]proxyproto.TLV, kind proxyproto.PP2Type, value string) {
		if value = printable(value); value != "" {
			*list = append(*list, proxyproto.TLV{Type: kind, Value: []byte(value)})
		}
	}
	add(&out, proxyproto.PP2_TYPE_ALPN, t.alpn)
	add(&out, proxyproto.PP2_TYPE_AUTHORITY, t.serverName)
	ssl := tlvparse.PP2SSL{Client: tlvparse.PP2_BITFIELD_CLIENT_SSL, Verify: 1}
	add(&ssl.TLV, proxyproto.PP2_SUBTYPE_SSL_VERSION, t.versionName())
	add(&ssl.TLV, proxyproto.PP2_SUBTYPE_SSL_CIPHER, t.cipherName())
	if t.verified {
		ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN | tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
		ssl.Verify = 0
		add(&ssl.TLV, proxyproto.PP2_SUBTYPE_SSL_CN, t.clientCN)
	}
	tlv, err := ssl.Marshal()
	return append(out, tlv), err
}

// maxTLVText keeps the header well under one segment whatever a certificate says.
const maxTLVText = 255

// printable drops the control characters of s. Of what is too long it leaves nothing.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r <= 0x9f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxTLVText {
		return "" // cut, two names that begin alike would be one user to EMQX
	}
	return s
}
