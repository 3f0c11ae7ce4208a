package ws

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// MaxUpgrade is a fair limit for [ReadUpgrade]. Cookies and tokens are what
// makes requests long; EMQX takes 4 KiB in one field.
const MaxUpgrade = 16 << 10

// protocol is the sub-protocol of MQTT (MQTT 5.0 section 6, MQTT-6.0.0-3).
const protocol = "mqtt"

// Upgrade is a client's request to speak WebSocket. It is needed until an
// endpoint has accepted, and holds on to a few hundred bytes.
type Upgrade struct {
	Target   string // path and query, as sent
	Host     string
	Protocol string // of those offered, the first that is MQTT
	key      string
	fields   []field // to be passed on
}

// RefusalError says that a request is none that an MQTT client may make. Its
// text is one line of ASCII that repeats nothing the client sent, so it can be
// that of [AppendRefusal].
type RefusalError struct {
	Status int // of HTTP: 400, 405, 426 or 431
	text   string
}

func (e *RefusalError) Error() string { return e.text }

func refused(status int, format string, args ...any) error {
	return &RefusalError{Status: status, text: fmt.Sprintf(format, args...)}
}

// ReadUpgrade reads a client's request of at most limit bytes, and checks it as
// RFC 6455 section 4.2.1 says. It returns what came behind the request, which
// is for [ReadConnect]. Errors that are no *RefusalError are those of r; io.EOF
// means that nothing came.
//
// A client that offers no sub-protocol is refused, as by MQTT-6.0.0-3 and by
// EMQX unless fail_if_no_subprotocol is off.
func ReadUpgrade(r io.Reader, limit int) (Upgrade, []byte, error) {
	h, rest, err := readHead(r, limit, checkRequestLine)
	switch err.(type) {
	case nil:
	case errHead:
		return Upgrade{}, nil, refused(http.StatusBadRequest, "%s", err)
	case errLimit:
		return Upgrade{}, nil, refused(http.StatusRequestHeaderFieldsTooLarge, "%s", err)
	default:
		return Upgrade{}, nil, err
	}
	u, err := h.upgrade()
	if err != nil {
		return Upgrade{}, nil, err
	}
	return u, rest, nil
}

// checkRequestLine refuses what is no GET of HTTP/1.1 as early as it shows.
func checkRequestLine(line []byte, whole bool) error {
	for i, c := range line {
		if c == ' ' && i > 0 {
			break
		}
		if c < 'A' || c > 'Z' || i == 16 {
			return refused(http.StatusBadRequest, "not an HTTP request: %s", guess(line))
		}
	}
	if !whole {
		return nil
	}
	parts := strings.Split(string(line), " ")
	switch {
	case parts[0] == "", parts[0] == "PROXY":
		return refused(http.StatusBadRequest, "not an HTTP request: %s", proxyHeader)
	case len(parts) != 3 || parts[2] != "HTTP/1.1":
		return refused(http.StatusBadRequest, "WebSocket needs a request of HTTP/1.1")
	case parts[0] != http.MethodGet:
		return refused(http.StatusMethodNotAllowed, "WebSocket needs the method GET")
	case !isOrigin(parts[1]):
		return refused(http.StatusBadRequest, "the target of the request is no path")
	}
	return nil
}

// isOrigin reports whether s is a path, maybe with a query (RFC 9112 section 3.2.1).
func isOrigin(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' {
			return false
		}
	}
	return strings.HasPrefix(s, "/")
}

func (h *head) upgrade() (Upgrade, error) {
	var u Upgrade
	const bad, upgradeRequired = http.StatusBadRequest, http.StatusUpgradeRequired
	length, once := h.only("Content-Length")
	if h.has("Transfer-Encoding") || h.has("Content-Length") && (!once || length != "0") {
		return u, refused(bad, "a WebSocket upgrade has no body")
	}
	var ok bool
	if u.Host, ok = h.only("Host"); !ok {
		return u, refused(bad, "a request needs one Host")
	}
	if !h.lists("Upgrade", "websocket") || !h.lists("Connection", "upgrade") {
		return u, refused(upgradeRequired, "this is for MQTT over WebSocket: Upgrade: websocket and Connection: Upgrade are needed")
	}
	if v, ok := h.only("Sec-WebSocket-Version"); !ok || v != "13" {
		return u, refused(upgradeRequired, "Sec-WebSocket-Version must be 13")
	}
	u.key, ok = h.only("Sec-WebSocket-Key")
	if b, err := base64.StdEncoding.DecodeString(u.key); !ok || err != nil || len(b) != 16 {
		return u, refused(bad, "Sec-WebSocket-Key must be 16 bytes in base64")
	}
	i := slices.IndexFunc(h.list("Sec-WebSocket-Protocol"), isMQTT)
	if i < 0 {
		return u, refused(bad, "Sec-WebSocket-Protocol must offer mqtt")
	}
	u.Protocol = h.list("Sec-WebSocket-Protocol")[i]
	u.Target = strings.Split(h.start, " ")[1]
	u.fields = h.endToEnd()
	return u, nil
}

// isMQTT reports whether a sub-protocol is MQTT: by the specification, by the
// names that EMQX has besides, or by those that clients for 3.1 and 3.1.1 used.
// They all mean the same here, for the version is in CONNECT.
func isMQTT(name string) bool {
	switch name {
	case protocol, "mqtt-v3", "mqtt-v3.1.1", "mqtt-v5", "mqttv3.1", "mqttv3.1.1":
		return true
	}
	return false
}

// endToEnd returns the fields that are for the endpoint too.
func (h *head) endToEnd() []field {
	hops := h.list("Connection")
	return slices.DeleteFunc(slices.Clone(h.fields), func(f field) bool {
		return isOurs(strings.ToLower(f.name)) || containsFold(hops, f.name)
	})
}

// isOurs reports whether a field, in lower case, is never passed on: since it is
// of one hop (RFC 9110 section 7.6.1), since AppendRequest writes its own, or
// since it would say to the endpoint who the client is. EMQX believes the
// leftmost X-Forwarded-For.
func isOurs(name string) bool {
	switch name {
	case "host", "connection", "upgrade", "keep-alive", "te", "trailer", "transfer-encoding", "content-length",
		"proxy-connection", "proxy-authorization", "expect", "forwarded":
		return true
	}
	for _, prefix := range []string{"sec-websocket-", "x-forwarded-", "x-real-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

const proxyHeader = "it looks like a PROXY protocol header from a peer that is not in proxy_protocol.trust"

// guess names what a stream that is not HTTP looks like, for the operator who
// wonders why it was refused.
func guess(b []byte) string {
	switch {
	case b[0] == 0x10:
		return "it looks like MQTT without WebSocket"
	case b[0] == 0x15, b[0] == 0x16:
		return "it looks like TLS"
	case b[0] == '\r':
		return proxyHeader
	}
	return fmt.Sprintf("it begins with %#02x", b[0])
}
