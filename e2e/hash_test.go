package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// hashing is a configuration that keeps clients together by key, over the endpoints in the order given.
func hashing(key, listener string, addresses []string) string {
	return fmt.Sprintf(`
listeners: {mqtt: {bind: "127.0.0.1:0", upstream: emqx%s}}
upstreams: {emqx: {balance: hash, hash_key: %s, endpoints: %s}}
`, listener, key, endpoints(addresses...))
}

func eightNodes(t testing.TB) []string {
	t.Helper()
	var all []string
	for range 8 {
		all = append(all, startFake(t, acknowledge).address())
	}
	return all
}

// whereabouts are the endpoints of the connected clients, by client id.
func whereabouts(e *edge) map[string]string {
	at := make(map[string]string)
	for _, c := range fetch[[]connectionState](e, "/api/v1/connections") {
		at[c.ClientID] = c.Endpoint
	}
	return at
}

func TestAClientFindsTheSameEndpointOnEveryEdgeAndAfterAReload(t *testing.T) {
	t.Parallel()
	const clients = 64
	nodes := eightNodes(t)
	reversed := slices.Clone(nodes)
	slices.Reverse(reversed)
	one, two := start(t, hashing("client_id", "", nodes)), start(t, hashing("client_id", "", reversed))
	crowd(t, one, clients)
	at := whereabouts(one)
	used := make(map[string]bool)
	for _, endpoint := range at {
		used[endpoint] = true
	}
	if len(at) != clients || len(used) < 6 {
		t.Fatalf("%d clients on %d of 8 endpoints", len(at), len(used))
	}
	same := func(e *edge, of string) {
		t.Helper()
		for id, endpoint := range whereabouts(e) {
			if endpoint != at[id] {
				t.Errorf("%s: %s is at %s instead of %s", of, id, endpoint, at[id])
			}
		}
	}
	leave := func(all []*device, e *edge) {
		t.Helper()
		for _, d := range all {
			must(t, d.leave())
		}
		e.awaitActive("mqtt", 0)
	}
	all := crowd(t, two, clients)
	same(two, "another edge")
	leave(all, two)
	two.reload(hashing("client_id", "", append(reversed[3:8:8], reversed[:3]...)))
	all = crowd(t, two, clients)
	same(two, "after a reload")
	leave(all, two)

	// Only the clients of an endpoint that goes away go elsewhere.
	gone := nodes[0]
	two.reload(hashing("client_id", "", nodes[1:]))
	crowd(t, two, clients)
	for id, endpoint := range whereabouts(two) {
		if at[id] == gone == (endpoint == at[id]) {
			t.Errorf("without %s: %s moved from %s to %s", gone, id, at[id], endpoint)
		}
	}
}

func TestTheHashKeySaysWhichClientsStayTogether(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	pair := pki.server()
	nodes := eightNodes(t)
	// Each key is of two clients, which differ in everything else.
	for key, join := range map[string]func(e *edge, key string, n int) net.Conn{
		"username": func(e *edge, key string, n int) net.Conn {
			return named(t, dial(t, e.addr("mqtt")), fmt.Sprintf("%s/%d", key, n), key)
		},
		"source_ip": func(e *edge, key string, n int) net.Conn {
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 7, key[0])}, Timeout: patience()}
			c, err := from.Dial("tcp", e.addr("mqtt"))
			must(t, err)
			t.Cleanup(func() { c.Close() })
			return named(t, c, fmt.Sprintf("%s/%d", key, n), fmt.Sprint(n))
		},
		"sni": func(e *edge, key string, n int) net.Conn {
			config := &tls.Config{ServerName: key + ".example", InsecureSkipVerify: true}
			return named(t, dialTLS(t, e.addr("mqtt"), config), fmt.Sprintf("%s/%d", key, n), fmt.Sprint(n))
		},
	} {
		t.Run(key, func(t *testing.T) {
			listener := ""
			if key == "sni" {
				listener = fmt.Sprintf(", tls: {certificates: [%s]}", pair.yaml())
			}
			e := start(t, hashing(key, listener, nodes))
			for _, k := range "abcdefghijklmnop" {
				join(e, string(k), 1)
				join(e, string(k), 2)
			}
			at, used := whereabouts(e), make(map[string]bool)
			for id, endpoint := range at {
				used[endpoint] = true
				if k, _, _ := strings.Cut(id, "/"); at[k+"/1"] != endpoint {
					t.Errorf("%s is at %s, the other with its key at %s", id, endpoint, at[k+"/1"])
				}
			}
			if len(at) != 32 || len(used) < 3 {
				t.Errorf("%d clients on %d endpoints", len(at), len(used))
			}
		})
	}
}

// named connects as a client with a user name.
func named(t testing.TB, c net.Conn, id, username string) net.Conn {
	t.Helper()
	body := []byte("\x00\x04MQTT\x04\x82\x00\x00")
	for _, s := range []string{id, username} {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(s))), s...)
	}
	c.SetDeadline(time.Now().Add(patience()))
	_, err := c.Write(append(binary.AppendUvarint([]byte{packetConnect}, uint64(len(body))), body...))
	must(t, err)
	answer := make([]byte, 4)
	if _, err := c.Read(answer); err != nil || answer[0] != packetConnack || answer[3] != 0 {
		t.Fatalf("%s: % x, %v", id, answer, err)
	}
	return c
}
