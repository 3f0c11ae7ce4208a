package grpcrelay

import (
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
)

// status is how a call ends.
type status struct {
	code codes.Code
	text string
}

const lastCode = uint64(codes.Unauthenticated)

var codeTexts = [lastCode + 1]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"}

func codeText(c codes.Code) string {
	if uint64(c) > lastCode {
		c = codes.Unknown
	}
	return codeTexts[c]
}

// fromReset is the table of the gRPC specification, "HTTP2 transport mapping, errors".
func fromReset(code resetCode) status {
	s := status{codes.Internal, "the provider reset the stream, code " + strconv.Itoa(int(code))}
	switch code {
	case codeRefused:
		s.code = codes.Unavailable
	case codeCancel:
		s.code = codes.Canceled
	case codeCalm:
		s.code = codes.ResourceExhausted
	case codeSecurity:
		s.code = codes.PermissionDenied
	}
	return s
}

// fromHTTP is the gRPC specification's "HTTP to gRPC status code mapping".
func fromHTTP(code int) status {
	s := status{codes.Unknown, "the provider answered with HTTP status " + strconv.Itoa(code)}
	switch code {
	case 400:
		s.code = codes.Internal
	case 401:
		s.code = codes.Unauthenticated
	case 403:
		s.code = codes.PermissionDenied
	case 404:
		s.code = codes.Unimplemented
	case 429, 502, 503, 504:
		s.code = codes.Unavailable
	}
	return s
}

// escapeMessage writes a text as grpc-message wants it: percent-encoded UTF-8.
func escapeMessage(s string) string {
	plain := func(c byte) bool { return c >= ' ' && c <= '~' && c != '%' }
	clean := true
	for i := range len(s) {
		clean = clean && plain(s[i])
	}
	if clean && strings.TrimSpace(s) == s {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		c := s[i]
		if plain(c) && (c != ' ' || i > 0 && i < len(s)-1) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return string(b)
}

// unescapeMessage is the other way; what is not well-formed stays as it is.
func unescapeMessage(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
