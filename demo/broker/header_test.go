package broker

import (
	"bufio"
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/pires/go-proxyproto"
)

func FuzzAHeaderReadsTheSameWholeAndInPieces(f *testing.F) {
	v2 := func(b ...byte) []byte { return append(append([]byte{}, proxyproto.SIGV2...), b...) }
	f.Add([]byte("PROXY TCP4 203.0.113.7 198.51.100.1 50123 8883\r\n\x10"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(v2(0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2))
	f.Add(v2(0x21, 0x11, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2, 0x02, 0, 2, 'h', 'i'))
	f.Add(v2(0x20, 0x00, 0, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole, wholeErr := readHeader(bufio.NewReader(bytes.NewReader(raw)))
		pieces, piecesErr := readHeader(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(raw))))
		if whole != pieces || (wholeErr == nil) != (piecesErr == nil) {
			t.Errorf("whole: %+v, %v\npieces: %+v, %v", whole, wholeErr, pieces, piecesErr)
		}
		if wholeErr == nil && whole.version == 0 {
			t.Errorf("a header without a version: %+v", whole)
		}
	})
}
