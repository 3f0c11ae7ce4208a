package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

const (
	longestV1Line = 107 // PROXY protocol, section 2.1
	v2Prefix      = 16  // signature, command, family, length; section 2.2
)

var (
	errNoHeader    = errors.New("no PROXY header; does the edge have send_proxy on for this endpoint?")
	errEmptyLocal  = errors.New("PROXY v2 LOCAL without an address block: EMQX would swallow the bytes that follow; send one of 12 zero bytes")
	errNotTCP      = errors.New("PROXY v2 header for something else than TCP over IPv4 or IPv6")
	errControlChar = errors.New("control character in a name of the PROXY header: EMQX 6.2 cuts the connection")
)

// header is a PROXY header reduced to what [Client] shows.
type header struct {
	version             int
	source, destination netip.AddrPort
	tlvs                TLVs
}

// readHeader reads a PROXY header that may arrive in pieces. It returns errNoHeader, having consumed nothing, when the
// first bytes are not those of a header.
func readHeader(r *bufio.Reader) (header, error) {
	first, err := r.Peek(1)
	if err != nil {
		return header{}, err
	}
	switch first[0] {
	case proxyproto.SIGV1[0]:
		// The library refuses a v1 line that came in two reads; EMQX does not.
		if err := bufferLine(r); err != nil {
			return header{}, err
		}
	case proxyproto.SIGV2[0]:
		prefix, err := r.Peek(v2Prefix)
		if err != nil {
			return header{}, err
		}
		if err := checkV2(prefix); err != nil {
			return header{}, err
		}
	}
	raw, err := proxyproto.Read(r)
	if errors.Is(err, proxyproto.ErrNoProxyProtocol) {
		return header{}, errNoHeader
	}
	if err != nil {
		return header{}, fmt.Errorf("PROXY header: %w", err)
	}
	return reduce(raw)
}

// bufferLine returns once a line feed, or more bytes than a v1 line may have, are in r's buffer.
func bufferLine(r *bufio.Reader) error {
	for {
		seen, _ := r.Peek(r.Buffered())
		if len(seen) >= longestV1Line || bytes.IndexByte(seen, '\n') >= 0 {
			return nil
		}
		if _, err := r.Peek(len(seen) + 1); err != nil {
			return err
		}
	}
}

// checkV2 refuses what the library accepts and EMQX does not.
func checkV2(prefix []byte) error {
	if !bytes.Equal(prefix[:len(proxyproto.SIGV2)], proxyproto.SIGV2) {
		return nil
	}
	command := proxyproto.ProtocolVersionAndCommand(prefix[12])
	family := proxyproto.AddressFamilyAndProtocol(prefix[13])
	empty := prefix[14] == 0 && prefix[15] == 0
	switch {
	case command == proxyproto.LOCAL && empty:
		return errEmptyLocal
	case command == proxyproto.PROXY && family != proxyproto.TCPv4 && family != proxyproto.TCPv6:
		return errNotTCP
	}
	return nil
}

func reduce(raw *proxyproto.Header) (header, error) {
	h := header{version: int(raw.Version)}
	if raw.Command.IsLocal() {
		return h, nil
	}
	h.source, h.destination = addrPort(raw.SourceAddr), addrPort(raw.DestinationAddr)
	tlvs, err := raw.TLVs()
	if err != nil {
		return header{}, fmt.Errorf("PROXY header: %w", err)
	}
	for _, tlv := range tlvs {
		switch tlv.Type {
		case proxyproto.PP2_TYPE_AUTHORITY:
			h.tlvs.Authority = string(tlv.Value)
		case proxyproto.PP2_TYPE_ALPN:
			h.tlvs.ALPN = string(tlv.Value)
		case proxyproto.PP2_TYPE_SSL:
			ssl, err := tlvparse.SSL(tlv)
			if err != nil {
				return header{}, fmt.Errorf("PROXY header, SSL: %w", err)
			}
			h.tlvs.SSL = ssl.ClientSSL()
			h.tlvs.SSLVersion, _ = ssl.SSLVersion()
			h.tlvs.SSLCipher, _ = ssl.SSLCipher()
			h.tlvs.CN, _ = ssl.ClientCN()
			h.tlvs.Verify = ssl.Verify
		}
	}
	if strings.ContainsFunc(h.tlvs.Authority+h.tlvs.CN, unicode.IsControl) {
		return header{}, errControlChar
	}
	return h, nil
}

// addrPort is a's address with IPv4 as such, or the invalid one.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
