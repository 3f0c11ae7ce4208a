package grpcrelay

import "encoding/binary"

// Frames of HTTP/2: RFC 9113, sections 4.1 and 6.
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoaway
	frameWindow
	frameContinuation
)

const (
	flagEnd        = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	settingTableSize  = 1
	settingPush       = 2
	settingMaxStreams = 3
	settingWindow     = 4
	settingMaxFrame   = 5
)

const (
	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead    = 9
	maxFrame     = 16384 // what we take, and what every peer takes
	maxFrameSize = 1<<24 - 1
	maxWindow    = 1<<31 - 1
	maxStreamID  = 1<<31 - 1
	firstWindow  = 65535 // before any SETTINGS or WINDOW_UPDATE
)

// A frame has come whole. Its body is valid until the next one.
type frame struct {
	kind  frameType
	flags uint8
	id    uint32
	body  []byte
}

// resetCode is an error code of RST_STREAM and GOAWAY: RFC 9113, section 7.
type resetCode uint32

const (
	codeNone resetCode = iota
	codeProtocol
	codeInternal
	codeFlowControl
	codeSettingsTimeout
	codeStreamClosed
	codeFrameSize
	codeRefused
	codeCancel
	codeCompression
	codeConnect
	codeCalm
	codeSecurity
	codeHTTP11
)

// connError ends a connection, streamError one stream of it.
type connError struct {
	code resetCode
	why  string
}

func (e connError) Error() string { return e.why }

type streamError struct {
	id   uint32
	code resetCode
	why  string
}

func (e streamError) Error() string { return e.why }

func frameLength(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func parseFrame(b []byte) frame {
	return frame{
		kind:  frameType(b[3]),
		flags: b[4],
		id:    binary.BigEndian.Uint32(b[5:]) & maxStreamID,
		body:  b[frameHead:],
	}
}

// unpad takes padding and, in HEADERS, the priority off a body.
func (f *frame) unpad() error {
	if f.flags&flagPadded != 0 {
		if len(f.body) == 0 {
			return connError{codeFrameSize, "a padded frame has no pad length"}
		}
		pad := int(f.body[0])
		f.body = f.body[1:]
		if pad > len(f.body) {
			return connError{codeProtocol, "there is more padding than frame"}
		}
		f.body = f.body[:len(f.body)-pad]
	}
	if f.kind == frameHeaders && f.flags&flagPriority != 0 {
		if len(f.body) < 5 {
			return connError{codeFrameSize, "HEADERS is too short for its priority"}
		}
		on := binary.BigEndian.Uint32(f.body) & maxStreamID
		f.body = f.body[5:]
		if on == f.id {
			return streamError{f.id, codeProtocol, "a stream depends on itself"}
		}
	}
	return nil
}

func appendFrameHead(b []byte, n int, kind frameType, flags uint8, id uint32) []byte {
	return append(b, byte(n>>16), byte(n>>8), byte(n), byte(kind), flags,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendReset(b []byte, id uint32, code resetCode) []byte {
	b = appendFrameHead(b, 4, frameReset, 0, id)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendWindow(b []byte, id uint32, n int64) []byte {
	b = appendFrameHead(b, 4, frameWindow, 0, id)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func appendGoaway(b []byte, last uint32, code resetCode, why string) []byte {
	b = appendFrameHead(b, 8+len(why), frameGoaway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, why...)
}

func appendSetting(b []byte, key uint16, value uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, key)
	return binary.BigEndian.AppendUint32(b, value)
}

// endHeaders makes frames of a block that was appended behind a gap of frameHead
// bytes at start: one HEADERS, and CONTINUATIONs where the peer takes no more.
func endHeaders(b []byte, start, most int, id uint32, flags uint8) []byte {
	n := len(b) - start - frameHead
	if n <= most {
		appendFrameHead(b[:start], n, frameHeaders, flags|flagEndHeaders, id)
		return b
	}
	block := append([]byte(nil), b[start+frameHead:]...)
	b = b[:start]
	kind := frameHeaders
	for len(block) > most {
		b = append(appendFrameHead(b, most, kind, flags, id), block[:most]...)
		block = block[most:]
		kind, flags = frameContinuation, 0
	}
	return append(appendFrameHead(b, len(block), kind, flags|flagEndHeaders, id), block...)
}

var frameGap [frameHead]byte
