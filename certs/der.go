package certs

import "encoding/asn1"

// Identifier octets.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagOID             = 0x06
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
)

// element is one DER value. Its slices are parts of what it was read from.
type element struct {
	tag        byte
	full, body []byte
}

// readElement reads the first value of der, whatever its tag. It knows one-octet tags and lengths up to four octets.
func readElement(der []byte) (e element, rest []byte, ok bool) {
	if len(der) < 2 || der[0]&0x1f == 0x1f {
		return element{}, nil, false
	}
	header, size := 2, int(der[1])
	if size >= 0x80 {
		octets := size & 0x7f
		header += octets
		if octets == 0 || octets > 4 || len(der) < header {
			return element{}, nil, false
		}
		size = 0
		for _, b := range der[2:header] {
			size = size<<8 | int(b)
		}
	}
	if size < 0 || size > len(der)-header {
		return element{}, nil, false
	}
	end := header + size
	return element{der[0], der[:end], der[header:end]}, der[end:], true
}

// readTagged is readElement for a value that has to have this tag.
func readTagged(der []byte, tag byte) (e element, rest []byte, ok bool) {
	e, rest, ok = readElement(der)
	if !ok || e.tag != tag {
		return element{}, nil, false
	}
	return e, rest, true
}

func sequence(body []byte) ([]byte, error) {
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
}
