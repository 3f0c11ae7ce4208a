package proxy

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"
)

func TestAHeaderIsWrittenAsTheLibraryWritesIt(t *testing.T) {
	for _, addresses := range [][2]string{
		{"192.0.2.1:1", "127.0.0.1:65535"},
		{"[2001:db8::1]:40000", "[::1]:1883"},
		{"192.0.2.1:40000", "[2001:db8::1]:1883"},
		{"[fe80::1%eth0]:40000", "[fe80::2%eth0]:1883"},
	} {
		source, destination := sameFamily(netip.MustParseAddrPort(addresses[0]), netip.MustParseAddrPort(addresses[1]))
		for version := byte(1); version <= 2; version++ {
			theirs := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(source), net.TCPAddrFromAddrPort(destination))
			ours := appendHeaderV1(nil, source, destination)
			if version == 2 {
				tlvs := []proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("mqtt.example")}}
				must(t, theirs.SetTLVs(tlvs))
				ours = appendHeaderV2(nil, source, destination, must1(proxyproto.JoinTLVs(tlvs)))
			}
			if want := must1(theirs.Format()); !bytes.Equal(ours, want) && addresses[0][1] != 'f' { // a zone means nothing elsewhere; the library writes it
				t.Errorf("%v, v%d: %q, the library %q", addresses, version, ours, want)
			}
			h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(ours)))
			if err != nil || h.SourceAddr.(*net.TCPAddr).Port != int(source.Port()) {
				t.Errorf("%v, v%d: %q reads as %+v, %v", addresses, version, ours, h, err)
			}
		}
	}
}

func TestAHeaderCostsNoAllocation(t *testing.T) {
	source, destination := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("127.0.0.1:1883")
	room := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		appendHeaderV1(room, source, destination)
		appendHeaderV2(room, source, destination, nil)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
