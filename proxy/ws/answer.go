package ws

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
)

// maxAnswer bounds an endpoint's answer without what follows it.
const maxAnswer = 16 << 10

// StatusError says that an endpoint did not accept an upgrade.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	text := fmt.Sprintf("the endpoint answered the WebSocket upgrade with %d %s", e.Status, http.StatusText(e.Status))
	switch e.Status {
	case http.StatusBadRequest:
		return text + ": see the sub-protocols of its WebSocket listener"
	case http.StatusNotFound:
		return text + ": the client's path is not that of its WebSocket listener"
	}
	return text
}

// AppendAccept appends the answer after which the client sends frames (RFC 6455
// section 4.2.2).
func (u *Upgrade) AppendAccept(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = appendField(dst, "Sec-WebSocket-Accept", accept(u.key))
	dst = appendField(dst, "Sec-WebSocket-Protocol", u.Protocol)
	return append(dst, "\r\n"...)
}

// AppendRefusal appends an answer that refuses an upgrade and ends the HTTP
// connection; text is one line of ASCII.
func AppendRefusal(dst []byte, status int, text string) []byte {
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	switch status {
	case http.StatusUpgradeRequired: // RFC 9110 section 15.5.22, RFC 6455 section 4.2.2
		dst = append(dst, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n"...)
	case http.StatusMethodNotAllowed: // RFC 9110 section 15.5.6
		dst = append(dst, "Allow: GET\r\nConnection: close\r\n"...)
	default:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return fmt.Appendf(dst, "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s\n", len(text)+1, text)
}

// NewKey returns a key for [Upgrade.AppendRequest], to be used once.
func NewKey() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// AppendRequest appends the request for an endpoint: the client's own, with
// another key and without its extensions. X-Forwarded-For and X-Forwarded-Port
// say where client is, unless it is zero, and whatever the client said of that
// is gone. EMQX takes the address of the client from them where it reads no
// PROXY header, and ignores them where it does.
func (u *Upgrade) AppendRequest(dst []byte, key string, client netip.AddrPort) []byte {
	dst = append(dst, "GET "+u.Target+" HTTP/1.1\r\n"...)
	dst = appendField(dst, "Host", u.Host)
	dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"...)
	dst = appendField(dst, "Sec-WebSocket-Key", key)
	dst = appendField(dst, "Sec-WebSocket-Protocol", protocol)
	if client.IsValid() {
		dst = appendField(dst, "X-Forwarded-For", client.Addr().Unmap().WithZone("").String())
		dst = appendField(dst, "X-Forwarded-Port", strconv.Itoa(int(client.Port())))
	}
	for _, f := range u.fields {
		dst = appendField(dst, f.name, f.value)
	}
	return append(dst, "\r\n"...)
}

// ReadAccepted reads an endpoint's answer to a request with key, and checks it
// as RFC 6455 section 4.1 says. It returns what came behind the answer, which
// is for [ReadConnack] or the client. A *StatusError says that the endpoint
// understood and did not want.
func ReadAccepted(r io.Reader, key string) ([]byte, error) {
	h, rest, err := readHead(r, maxAnswer, checkStatusLine)
	switch err.(type) {
	case nil:
	case errHead, errLimit:
		return nil, wrong("%w", err)
	default:
		return nil, err
	}
	if !h.lists("Upgrade", "websocket") || !h.lists("Connection", "upgrade") {
		return nil, wrong("it upgrades to something else")
	}
	if a, ok := h.only("Sec-WebSocket-Accept"); !ok || a != accept(key) {
		return nil, wrong("Sec-WebSocket-Accept does not fit the key")
	}
	if h.has("Sec-WebSocket-Extensions") {
		return nil, wrong("it agrees to extensions that were not offered")
	}
	if p, ok := h.only("Sec-WebSocket-Protocol"); !ok || p != protocol { // MQTT-6.0.0-4
		return nil, wrong("the sub-protocol is not %s", protocol)
	}
	return rest, nil
}

func checkStatusLine(line []byte, whole bool) error {
	const version = "HTTP/1.1 "
	n := min(len(line), len(version))
	if string(line[:n]) != version[:n] {
		return wrong("not HTTP/1.1: %s", guess(line))
	}
	if !whole {
		return nil
	}
	line = line[n:]
	status := 0
	if len(line) == 3 || len(line) > 3 && line[3] == ' ' {
		status, _ = strconv.Atoi(string(line[:3]))
	}
	switch {
	case status < 100:
		return wrong("no HTTP status")
	case status != http.StatusSwitchingProtocols:
		return &StatusError{Status: status}
	}
	return nil
}

func wrong(format string, args ...any) error {
	return fmt.Errorf("the endpoint's answer to the WebSocket upgrade: "+format, args...)
}

// accept proves that a key was understood (RFC 6455 section 4.2.2, item 5.4).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
