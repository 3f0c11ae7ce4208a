package grpcrelay

import (
	"strconv"
	"time"

	"golang.org/x/net/http2/hpack"
)

// encoder writes the header blocks for one peer: RFC 7541, without Huffman codes,
// which cost more time than they save.
//
// Names whose values repeat from call to call enter the dynamic table, others
// never, so what is different in every call does not push them out. A block that
// needed no change of the table is remembered and written again as it is.
type encoder struct {
	index  map[pair]uint64 // the number of an entry
	table  []pair          // oldest first
	first  uint64          // number of table[0]
	size   uint32
	max    uint32
	resize bool   // a new size is to be told, by way of lowest
	lowest uint32 // since the last block
	blocks map[cacheKey]cachedBlock
}

type pair struct{ name, value string }

// blockKey is all that a block is made of.
type blockKey struct {
	head            *Header
	path, authority string
	form            blockForm
}

// cacheKey is what a remembered block is found by. The rest of its blockKey is
// hardly ever different, so there is one such block at a time.
type cacheKey struct {
	head *Header
	form blockForm
}

type cachedBlock struct {
	path, authority string
	block           []byte
}

type blockForm uint8

const (
	formRequest      blockForm = iota // POST, :scheme http
	formRequestTLS                    // :scheme https
	formAnswer                        // :status 200 and fields
	formTrailers                      // fields alone
	formTrailersOnly                  // :status 200, content-type and fields
)

// Places in the static table: RFC 7541, appendix A.
const (
	staticAuthority   = 1
	staticPost        = 3
	staticPath        = 4
	staticHTTP        = 6
	staticHTTPS       = 7
	static200         = 8
	staticContentType = 31
	staticUserAgent   = 58
	staticCount       = 61
)

func newEncoder() encoder { return encoder{max: tableSize} }

// block appends the block that key stands for.
func (e *encoder) block(b []byte, key blockKey) []byte {
	if c, ok := e.blocks[cacheKey{key.head, key.form}]; ok && c.path == key.path && c.authority == key.authority {
		return append(b, c.block...)
	}
	cacheable := key.head.shared && !e.resize
	known, start := e.first+uint64(len(e.table)), len(b)
	b = e.begin(b)
	h := key.head
	switch key.form {
	case formRequest, formRequestTLS:
		b = append(b, 0x80|staticPost)
		if key.form == formRequestTLS {
			b = append(b, 0x80|staticHTTPS)
		} else {
			b = append(b, 0x80|staticHTTP)
		}
		b = e.field(b, ":path", key.path, false)
		b = e.field(b, ":authority", key.authority, false)
		b = e.field(b, "te", "trailers", false)
	case formAnswer:
		b = append(b, 0x80|static200)
	case formTrailersOnly:
		b = append(b, 0x80|static200)
		if !hasField(h.fields, "content-type") {
			b = e.field(b, "content-type", grpcContent, false)
		}
	}
	for i := range h.fields {
		f := &h.fields[i]
		b = e.field(b, f.Name, f.Value, f.Sensitive)
	}
	if cacheable && e.first+uint64(len(e.table)) == known && len(b)-start <= blockKeptSize {
		if e.blocks == nil || len(e.blocks) >= blocksKept {
			e.blocks = make(map[cacheKey]cachedBlock)
		}
		e.blocks[cacheKey{key.head, key.form}] = cachedBlock{key.path, key.authority, append([]byte(nil), b[start:]...)}
	}
	return b
}

// status appends a block that ends a call with a status of our own: trailers, or
// trailers-only where nothing of the answer has been sent.
func (e *encoder) status(b []byte, only bool, s status) []byte {
	b = e.begin(b)
	if only {
		b = append(b, 0x80|static200)
		b = e.field(b, "content-type", grpcContent, false)
	}
	b = e.field(b, "grpc-status", codeText(s.code), false)
	if s.text != "" {
		b = e.field(b, "grpc-message", escapeMessage(s.text), false)
	}
	return b
}

// httpStatus is for a client that does not speak gRPC.
func (e *encoder) httpStatus(b []byte, code int) []byte {
	b = e.begin(b)
	return e.field(b, ":status", strconv.Itoa(code), false)
}

// timeout appends grpc-timeout to a block of a request. Its value is different
// in every call, so the table is not for it.
func (*encoder) timeout(b []byte, d time.Duration) []byte {
	const name = "grpc-timeout"
	b = append(b, 0, byte(len(name)))
	b = append(b, name...)
	at := len(b)
	b = appendTimeout(append(b, 0), d)
	b[at] = byte(len(b) - at - 1)
	return b
}

// begin is for the change of size that a block must start with. Where the size
// went down and up again, both are to be told: RFC 7541, section 4.2. The first is
// told as 0, since decoders are about that take a second one only when the table
// is empty.
func (e *encoder) begin(b []byte) []byte {
	if !e.resize {
		return b
	}
	e.resize = false
	if e.lowest < e.max {
		e.evict(0)
		b = append(b, 0x20)
	}
	return appendInt(b, 0x20, 5, uint64(e.max))
}

// limit takes the table size that the peer allows.
func (e *encoder) limit(n uint32) {
	n = min(n, tableSize)
	if n == e.max && !e.resize {
		return
	}
	if !e.resize || n < e.lowest {
		e.lowest = n
	}
	e.max, e.resize = n, true
	e.evict(n)
	clear(e.blocks)
}

func (e *encoder) field(b []byte, name, value string, sensitive bool) []byte {
	if sensitive || !repeats(name, value) {
		first := byte(0)
		if sensitive {
			first = 0x10
		}
		return appendText(e.name(b, first, 4, name), value)
	}
	p := pair{name, value}
	if n, ok := e.index[p]; ok {
		return appendInt(b, 0x80, 7, staticCount+e.first+uint64(len(e.table))-n)
	}
	size := hpack.HeaderField{Name: name, Value: value}.Size()
	if size > e.max {
		return appendText(e.name(b, 0, 4, name), value)
	}
	b = appendText(e.name(b, 0x40, 6, name), value)
	e.evict(e.max - size)
	if e.index == nil {
		e.index = make(map[pair]uint64)
	}
	e.index[p] = e.first + uint64(len(e.table))
	e.table = append(e.table, p)
	e.size += size
	clear(e.blocks)
	return b
}

// evict makes the table at most so large.
func (e *encoder) evict(size uint32) {
	n := 0
	for e.size > size {
		p := e.table[n]
		e.size -= hpack.HeaderField{Name: p.name, Value: p.value}.Size()
		delete(e.index, p)
		n++
	}
	if n > 0 {
		e.first += uint64(n)
		e.table = append(e.table[:0], e.table[n:]...)
	}
}

func (*encoder) name(b []byte, first byte, bits int, name string) []byte {
	switch name {
	case ":authority":
		return appendInt(b, first, bits, staticAuthority)
	case ":path":
		return appendInt(b, first, bits, staticPath)
	case ":status":
		return appendInt(b, first, bits, static200)
	case "content-type":
		return appendInt(b, first, bits, staticContentType)
	case "user-agent":
		return appendInt(b, first, bits, staticUserAgent)
	}
	return appendText(append(b, first), name)
}

// repeats tells whether a field is likely to come again.
func repeats(name, value string) bool {
	switch name {
	case ":path", ":authority", "te", "content-type", "user-agent", "grpc-encoding",
		"grpc-accept-encoding", "grpc-message-type", "grpc-status", "server":
		return len(value) <= 256
	case "grpc-message":
		return value == ""
	}
	return false
}

func appendInt(b []byte, first byte, bits int, n uint64) []byte {
	most := uint64(1)<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, 0x80|byte(n))
	}
	return append(b, byte(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendInt(b, 0, 7, uint64(len(s))), s...)
}
