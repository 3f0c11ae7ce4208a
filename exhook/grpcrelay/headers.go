package grpcrelay

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// Header is a header block of a call. It does not change. Blocks that repeat are
// one Header in all of a group, so what was found out about it may be kept in
// Note, which belongs to the handler.
type Header struct {
	Note any

	method, scheme, path, authority string
	fields                          []hpack.HeaderField // without pseudo fields and what concerns one hop only
	timeout                         time.Duration       // of grpc-timeout
	hasTimeout                      bool
	status                          int // of HTTP
	grpcStatus                      int // -1 is none
	grpcMessage                     string
	contentLength                   int64 // -1 is none
	grpc                            bool  // by content-type
	compressed                      bool  // messages may be compressed in the answer, by grpc-accept-encoding

	pseudo   uint8
	regular  bool   // a field that is not pseudo has come
	shared   bool   // repeats: worth remembering what was made of it
	tooLarge bool   // and cut off
	wrong    string // why it is malformed
	refused  string // why it cannot be served, though it is well-formed
	whole    wholeness
}

// wholeness is what Options.Whole said of a path.
type wholeness uint8

const (
	wholeUnknown wholeness = iota
	wholeNo
	wholeYes
)

const (
	pseudoMethod = 1 << iota
	pseudoScheme
	pseudoPath
	pseudoAuthority
	pseudoStatus

	pseudoNeeded  = pseudoMethod | pseudoScheme | pseudoPath
	pseudoRequest = pseudoNeeded | pseudoAuthority
)

// NewHeader makes the header of a call for [Group.Call]. It may be used for any
// number of calls. Names are lower case; values of names that end in -bin are in
// base64 already. An empty authority is the provider's.
func NewHeader(path, authority string, fields ...hpack.HeaderField) *Header {
	h := &Header{method: "POST", path: path, authority: authority, contentLength: -1, grpcStatus: -1, grpc: true, shared: true}
	if !hasField(fields, "content-type") {
		h.fields = append(h.fields, hpack.HeaderField{Name: "content-type", Value: grpcContent})
	}
	h.fields = append(h.fields, fields...)
	return h
}

const grpcContent = "application/grpc"

// Path is the method called: /package.Service/Method.
func (h *Header) Path() string { return h.path }

// Authority is the host that the client asked for.
func (h *Header) Authority() string { return h.authority }

// Value is the first value of a field, empty if there is none. Names are lower case.
func (h *Header) Value(name string) string {
	for i := range h.fields {
		if h.fields[i].Name == name {
			return h.fields[i].Value
		}
	}
	return ""
}

// Fields are those of metadata and of gRPC, in order. They must not be changed.
func (h *Header) Fields() []hpack.HeaderField { return h.fields }

func hasField(fields []hpack.HeaderField, name string) bool {
	for _, f := range fields {
		if f.Name == name {
			return true
		}
	}
	return false
}

// add takes a decoded field: RFC 9113, section 8.2 and 8.3.
func (h *Header) add(f hpack.HeaderField) {
	if strings.HasPrefix(f.Name, ":") {
		h.addPseudo(f)
		return
	}
	h.regular = true
	if !validName(f.Name) || !validValue(f.Value) {
		h.wrong = "a header field has characters that it must not have"
		return
	}
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		h.wrong = "a header field is for HTTP/1 connections"
		return
	case "te":
		if f.Value != "trailers" {
			h.wrong = "te is not trailers"
		}
		return // of one hop: the encoder says it anew
	case "host":
		if h.authority == "" {
			h.authority = f.Value
		}
		return
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 62)
		if err != nil || h.contentLength >= 0 && h.contentLength != int64(n) {
			h.wrong = "content-length is not one number"
			return
		}
		h.contentLength = int64(n)
		return // the body is framed, so it is not passed on
	case "grpc-timeout":
		d, ok := parseTimeout(f.Value)
		if !ok {
			h.refused = "grpc-timeout is not a duration"
		}
		h.timeout, h.hasTimeout = d, true
		return // said anew, reduced by the time spent
	case "content-type":
		h.grpc = isGRPC(f.Value)
	case "grpc-accept-encoding":
		h.compressed = f.Value != "" && f.Value != "identity"
	case "grpc-status":
		n, err := strconv.ParseUint(f.Value, 10, 16)
		if err != nil || n > lastCode {
			n = uint64(codes.Unknown)
			f.Value = codeText(codes.Unknown)
		}
		h.grpcStatus = int(n)
	case "grpc-message":
		h.grpcMessage = f.Value
	}
	h.fields = append(h.fields, f)
}

func (h *Header) addPseudo(f hpack.HeaderField) {
	var bit uint8
	switch f.Name {
	case ":method":
		bit, h.method = pseudoMethod, f.Value
	case ":scheme":
		bit, h.scheme = pseudoScheme, f.Value
	case ":path":
		bit, h.path = pseudoPath, f.Value
	case ":authority":
		bit, h.authority = pseudoAuthority, f.Value
	case ":status":
		n, err := strconv.ParseUint(f.Value, 10, 16)
		if err != nil || n < 100 || n > 999 {
			h.wrong = ":status is not a number of three digits"
		}
		bit, h.status = pseudoStatus, int(n)
	default:
		h.wrong = "there is an unknown pseudo field"
		return
	}
	switch {
	case h.pseudo&bit != 0:
		h.wrong = "a pseudo field is there twice"
	case h.regular:
		h.wrong = "a pseudo field comes after others"
	case !validValue(f.Value):
		h.wrong = "a pseudo field has characters that it must not have"
	}
	h.pseudo |= bit
}

// requestError says what makes it a malformed request, empty if nothing does.
func (h *Header) requestError() string {
	switch {
	case h.wrong != "":
		return h.wrong
	case h.tooLarge:
		return "" // what is missing may have been cut off
	case h.pseudo&^pseudoRequest != 0:
		return "a request has a pseudo field of answers"
	case h.pseudo&pseudoNeeded != pseudoNeeded || h.path == "":
		return "a request lacks :method, :scheme or :path"
	}
	return ""
}

func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, grpcContent)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// validName is RFC 9113, section 8.2.1.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == ':' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return s != ""
}

func validValue(s string) bool {
	if s == "" {
		return true
	}
	if first, last := s[0], s[len(s)-1]; first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		return false
	}
	return !strings.ContainsAny(s, "\x00\r\n")
}

// parseTimeout reads grpc-timeout: at most eight digits and a unit.
func parseTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil {
		return 0, false
	}
	unit := time.Duration(0)
	switch s[len(s)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	const most = 1 << 20 * time.Second // 12 days are for ever
	if n > uint64(most/unit) {
		return most, true
	}
	return time.Duration(n) * unit, true
}

// appendTimeout writes d as grpc-timeout, rounded down to milliseconds where it
// has any: at most eight digits.
func appendTimeout(b []byte, d time.Duration) []byte {
	switch {
	case d < time.Millisecond:
		return append(strconv.AppendInt(b, max(int64(d/time.Microsecond), 1), 10), 'u')
	case d < 99999999*time.Millisecond:
		return append(strconv.AppendInt(b, int64(d/time.Millisecond), 10), 'm')
	}
	return append(strconv.AppendInt(b, int64(d/time.Second), 10), 'S')
}
