package ws

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxFields bounds the header fields of a request or an answer, which cost more
// memory than bytes on the wire. Browsers send about fifteen.
const maxFields = 128

// head is an HTTP/1.1 message without its body (RFC 9112 section 2).
type head struct {
	start  string
	fields []field
}

type field struct{ name, value string }

// errHead says that a head breaks the rules of HTTP; errLimit that it is too large.
type (
	errHead  string
	errLimit string
)

func (e errHead) Error() string  { return string(e) }
func (e errLimit) Error() string { return string(e) }

// readHead reads a head of at most limit bytes and returns what came behind it.
// It asks start about the first line as far as it has come, so that something
// else is known at once; whole says that the line is there, without its end.
func readHead(r io.Reader, limit int, start func(line []byte, whole bool) error) (head, []byte, error) {
	buf := make([]byte, 0, min(1024, limit))
	started := false
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		looked := len(buf)
		buf = buf[:len(buf)+n]
		if n > 0 && !started {
			line, whole, err := firstLine(buf)
			if err == nil {
				err = start(line, whole)
			}
			if err != nil {
				return head{}, nil, err
			}
			started = whole
		}
		from := max(looked-3, 0)
		if end := bytes.Index(buf[from:], []byte("\r\n\r\n")); end >= 0 {
			end += from
			h, err := parseHead(string(buf[:end+2]))
			return h, buf[end+4:], err
		}
		if err == io.EOF && len(buf) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return head{}, nil, err
		}
		if len(buf) == limit {
			return head{}, nil, errLimit(fmt.Sprintf("more than %d bytes of HTTP header", limit))
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*len(buf), limit))
			copy(grown, buf)
			buf = grown
		}
	}
}

func firstLine(b []byte) (line []byte, whole bool, err error) {
	line, _, whole = bytes.Cut(b, []byte("\n"))
	if !whole {
		return b, false, nil
	}
	line, ok := bytes.CutSuffix(line, []byte("\r"))
	if !ok {
		return nil, false, errHead("a line that does not end in CR LF")
	}
	return line, true, nil
}

// parseHead takes a head without the empty line at its end. It is strict where
// others might read the same bytes in another way (RFC 9112 sections 2.2, 5.1, 5.2).
func parseHead(s string) (head, error) {
	var h head
	for s != "" {
		line, rest, _ := strings.Cut(s, "\r\n")
		s = rest
		if !isText(line) {
			return head{}, errHead("a control character in the HTTP header")
		}
		if h.start == "" {
			h.start = line
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !isToken(name) {
			return head{}, errHead("a line of the HTTP header that is no field")
		}
		if len(h.fields) == maxFields {
			return head{}, errLimit(fmt.Sprintf("more than %d HTTP header fields", maxFields))
		}
		h.fields = append(h.fields, field{name, strings.Trim(value, " \t")})
	}
	return h, nil
}

// only returns the value of a field that must come exactly once.
func (h *head) only(name string) (value string, ok bool) {
	n := 0
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			value = f.value
			n++
		}
	}
	return value, n == 1
}

func (h *head) has(name string) bool {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// list returns the elements of all fields of that name (RFC 9110 section 5.6.1).
func (h *head) list(name string) []string {
	var out []string
	for _, f := range h.fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		for e := range strings.SplitSeq(f.value, ",") {
			if e = strings.Trim(e, " \t"); e != "" {
				out = append(out, e)
			}
		}
	}
	return out
}

func (h *head) lists(name, element string) bool {
	return containsFold(h.list(name), element)
}

func containsFold(list []string, s string) bool {
	for _, e := range list {
		if strings.EqualFold(e, s) {
			return true
		}
	}
	return false
}

// isText reports whether s may stand in a line (RFC 9110 section 5.5).
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.Contains("!#$%&'*+-.^_`|~", s[i:i+1]) {
			return false
		}
	}
	return s != ""
}
