package h2

import (
	"bytes"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

const remembered = 8 // blocks; a proxy that sends its date has a new one each second

// Header is what a block holds that matters to a call. What is not there is "".
type Header struct {
	Method, Path, Status, ContentType, GRPCStatus, GRPCMessage string
}

// Decoder decodes the header blocks of one direction of one connection. A block that neither changes the dynamic table nor
// comes after a change means what it meant before, so it is looked up instead.
type Decoder struct {
	hpack *hpack.Decoder
	known [remembered]known
	next  int // of known, to be replaced

	current *Header
}

type known struct {
	block  []byte
	header *Header
}

// NewDecoder has a table of the default size.
func NewDecoder() *Decoder {
	d := new(Decoder)
	d.hpack = hpack.NewDecoder(DefaultHeaderTableSize, d.field)
	return d
}

// Decode returns what is not to be changed by the caller.
func (d *Decoder) Decode(block []byte) (*Header, error) {
	for i := range d.known {
		if k := &d.known[i]; k.header != nil && bytes.Equal(k.block, block) {
			return k.header, nil
		}
	}
	d.current = new(Header)
	if _, err := d.hpack.Write(block); err != nil {
		return nil, fmt.Errorf("header block: %w", err)
	}
	if err := d.hpack.Close(); err != nil {
		return nil, fmt.Errorf("header block: %w", err)
	}
	if Changes(block) {
		d.known = [remembered]known{}
		return d.current, nil
	}
	d.known[d.next] = known{bytes.Clone(block), d.current}
	d.next = (d.next + 1) % remembered
	return d.current, nil
}

func (d *Decoder) field(f hpack.HeaderField) {
	switch f.Name {
	case ":method":
		d.current.Method = f.Value
	case ":path":
		d.current.Path = f.Value
	case ":status":
		d.current.Status = f.Value
	case "content-type":
		d.current.ContentType = f.Value
	case "grpc-status":
		d.current.GRPCStatus = f.Value
	case "grpc-message":
		d.current.GRPCMessage = f.Value
	}
}

// Encoder encodes the header blocks of one direction of one connection. Every block must be sent, in the order of encoding.
type Encoder struct {
	hpack   *hpack.Encoder
	buf     bytes.Buffer
	changes int // of the dynamic table
}

// Block is a header to be sent many times. Its encoding is kept for as long as the table stays as it is.
type Block struct {
	Fields [][2]string // name and value

	encoded []byte // nil before the first time
	changes int    // of the table, until then
}

// NewEncoder is for a peer with a table of the default size.
func NewEncoder() *Encoder {
	e := new(Encoder)
	e.hpack = hpack.NewEncoder(&e.buf)
	return e
}

// Limit is called for the peer's HeaderTableSize.
func (e *Encoder) Limit(tableSize uint32) {
	e.hpack.SetMaxDynamicTableSizeLimit(tableSize)
	e.changes++
}

// Encode returns what is valid until the next call with the same block.
func (e *Encoder) Encode(b *Block) []byte {
	if b.encoded != nil && b.changes == e.changes {
		return b.encoded
	}
	e.buf.Reset()
	for _, f := range b.Fields {
		_ = e.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // a buffer takes everything
	}
	b.encoded, b.changes = append(b.encoded[:0], e.buf.Bytes()...), e.changes
	if Changes(b.encoded) {
		e.changes++ // so this one too is encoded anew
	}
	return b.encoded
}

// Changes reports whether a block changes the dynamic table; one that is cut short might (RFC 7541, section 6).
func Changes(block []byte) bool {
	for len(block) > 0 {
		switch b := block[0]; {
		case b&0x80 != 0: // indexed
			_, block = integer(block, 7)
		case b&0x60 != 0: // literal with indexing, table size
			return true
		default: // literal without indexing
			var name uint64
			if name, block = integer(block, 4); name == 0 {
				block = afterString(block)
			}
			block = afterString(block)
		}
		if block == nil {
			return true
		}
	}
	return false
}

// integer decodes one with a prefix of that many bits (section 5.1); the rest is nil when it is cut short or too long.
func integer(p []byte, prefix uint) (v uint64, rest []byte) {
	mask := byte(1)<<prefix - 1
	v, p = uint64(p[0]&mask), p[1:]
	if v < uint64(mask) {
		return v, p
	}
	for shift := 0; shift <= 28 && len(p) > 0; shift += 7 {
		b := p[0]
		v, p = v+uint64(b&0x7f)<<shift, p[1:]
		if b&0x80 == 0 {
			return v, p
		}
	}
	return 0, nil
}

// afterString is nil when the string is cut short.
func afterString(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	n, rest := integer(p, 7)
	if rest == nil || n > uint64(len(rest)) {
		return nil
	}
	return rest[n:]
}
