package grpcrelay

import "golang.org/x/net/http2/hpack"

// decoder reads the header blocks of one peer.
//
// The same bytes mean the same fields as long as the dynamic table is the same.
// So a block that does not change the table is remembered with what it meant, and
// all that is remembered is forgotten when a block does change it. EMQX's blocks
// repeat: after the first few all of them are found here.
type decoder struct {
	hpack  *hpack.Decoder
	blocks map[string]*Header
	known  *intern
	head   *Header // being read
	key    []byte  // its fields
	size   int
	limit  int
}

// intern makes the headers of all connections that say the same one Header, so
// that what is remembered of them is remembered once.
type intern map[string]*Header

func (in intern) one(key []byte, h *Header) *Header {
	if same := in[string(key)]; same != nil {
		return same
	}
	if len(in) >= internKept {
		clear(in)
	}
	in[string(key)] = h
	return h
}

const (
	tableSize     = 4096 // RFC 7541's default; we ask for no other
	blocksKept    = 256  // for one connection
	internKept    = 4096
	blockKeptSize = 512
	blockLimit    = 64 << 10 // encoded, in all its frames
	blockParts    = 64       // CONTINUATION frames of one block
)

func newDecoder(limit int, known *intern) decoder { return decoder{limit: limit, known: known} }

// decode reads a whole block. An error is one of the connection: the table is lost.
func (d *decoder) decode(block []byte) (*Header, error) {
	if h := d.blocks[string(block)]; h != nil {
		return h, nil
	}
	if d.hpack == nil {
		d.hpack = hpack.NewDecoder(tableSize, d.add)
		d.hpack.SetMaxStringLength(blockLimit)
		d.blocks = make(map[string]*Header)
	}
	h := &Header{contentLength: -1, grpcStatus: -1}
	d.head, d.size, d.key = h, 0, d.key[:0]
	_, err := d.hpack.Write(block)
	if err == nil {
		err = d.hpack.Close()
	}
	d.head = nil
	if err != nil {
		return nil, connError{codeCompression, "a header block cannot be read: " + err.Error()}
	}
	if changesTable(block) {
		clear(d.blocks)
		return h, nil
	}
	if len(block) <= blockKeptSize {
		if len(d.blocks) >= blocksKept {
			clear(d.blocks)
		}
		h.shared = true
		if h.wrong == "" && !h.tooLarge { // or the key may be ambiguous
			h = d.known.one(d.key, h)
		}
		d.blocks[string(block)] = h
	}
	return h, nil
}

// add is called by hpack for each field. What is over the limit is read, since it
// may change the table, and thrown away.
func (d *decoder) add(f hpack.HeaderField) {
	d.size += int(f.Size())
	if d.size > d.limit {
		d.head.tooLarge = true
		return
	}
	d.key = append(append(append(append(d.key, f.Name...), 0), f.Value...), 0)
	if f.Sensitive {
		d.key = append(d.key, 1)
	}
	d.head.add(f)
}

// changesTable tells whether a block that could be read has a field that enters
// the dynamic table, or a change of its size: RFC 7541, section 6.
func changesTable(b []byte) bool {
	for len(b) > 0 {
		switch c := b[0]; {
		case c&0x80 != 0:
			_, b = skipInt(b, 7)
		case c&0xe0 != 0: // 01: literal with indexing, 001: size
			return true
		default:
			var name int
			name, b = skipInt(b, 4)
			if name == 0 {
				b = skipString(b)
			}
			b = skipString(b)
		}
	}
	return false
}

func skipInt(b []byte, bits int) (int, []byte) {
	if len(b) == 0 {
		return 0, nil
	}
	most := 1<<bits - 1
	n := int(b[0]) & most
	b = b[1:]
	if n < most {
		return n, b
	}
	for shift := 0; len(b) > 0 && shift < 56; shift += 7 {
		c := b[0]
		b = b[1:]
		n += int(c&0x7f) << shift
		if c&0x80 == 0 {
			break
		}
	}
	return n, b
}

func skipString(b []byte) []byte {
	n, b := skipInt(b, 7)
	return b[min(n, len(b)):]
}
