package haproxy

import (
	"regexp"
	"strings"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// balance reads which policy a backend has, and what clients stick to an endpoint by.
func (im *importer) balance(b *section, l *configs.Listener, u *configs.Upstream) {
	u.Balance = "round_robin"
	line := b.last("balance")
	switch policy := line.arg(1); policy {
	case "", "roundrobin", "static-rr":
	case "leastconn":
		u.Balance = "least_conn"
	case "first":
		u.Balance = "least_conn"
		im.note(line, "first fills one server after the other: mqedge spreads them, least_conn is written instead")
	case "source":
		im.hashBy(line, "source_ip", l, u)
	case "random":
		u.Balance = "random_two"
	case "hash":
		key := hashKey(strings.Join(line.words[2:], " "))
		if key == "" {
			u.Balance = "least_conn"
			im.note(line, "mqedge does not hash by %s, only by client_id, username, source_ip or sni: least_conn is written instead", convert.Shown(strings.Join(line.words[2:], " ")))
		} else {
			im.hashBy(line, key, l, u)
		}
	default:
		if name, ok := strings.CutPrefix(policy, "random("); ok && strings.HasSuffix(name, ")") {
			u.Balance = "random_two"
			break
		}
		u.Balance = "least_conn"
		im.note(line, "mqedge does not balance by %s: least_conn is written instead", convert.Shown(policy))
	}
	im.sticky(b, l, u)
}

// hashBy sends clients with the same key to the same endpoint.
func (im *importer) hashBy(line *line, key string, l *configs.Listener, u *configs.Upstream) {
	if (key == "client_id" || key == "username") && l.Protocol == "tcp" {
		im.note(line, "goes by %s, which mqedge reads with protocol mqtt only: clients of this listener go by their address", key)
		key = "source_ip"
	}
	if key == "sni" && l.TLS == nil {
		im.note(line, "mqedge reads the server name only of TLS that ends in it: clients of this listener go by their address")
		key = "source_ip"
	}
	u.Balance, u.HashKey = "hash", key
	im.note(line, "carried over as hash_key %s, by a function that is the same on every edge and needs no table: clients change their server once, when you switch", key)
}

// sticky reads stick-table and what goes into it: a hash of the same key does that without a table.
func (im *importer) sticky(b *section, l *configs.Listener, u *configs.Upstream) {
	found := false
	for _, kind := range []string{"on", "match", "store-request", "store-response"} {
		for _, line := range b.own("stick", kind) {
			key := hashKey(strings.Join(line.words[2:], " "))
			switch {
			case key == "":
				im.note(line, "mqedge has no tables, only balance: hash by client_id, username, source_ip or sni: left out")
			case !found:
				found = true
				im.hashBy(line, key, l, u)
			}
		}
	}
	if found {
		b.own("stick-table")
	}
}

// balanceCalls reads which policy a backend of gRPC has. Hooks go by client id, other calls by metadata.
func (im *importer) balanceCalls(b *section, u *configs.Upstream) {
	u.Balance = "round_robin"
	line := b.last("balance")
	policy, _, _ := strings.Cut(line.arg(1), "(")
	switch policy {
	case "", "roundrobin", "static-rr":
	case "leastconn", "first":
		u.Balance = "least_conn"
	case "random":
		u.Balance = "random_two"
	default:
		header := headerOf(line)
		switch {
		case u.ExHook != nil:
			u.Balance = "hash"
			im.note(line, "hooks go by client id: balance: hash is written instead")
		case header != "":
			u.Balance, u.HashMetadata = "hash", header
		default:
			u.Balance = "least_conn"
			im.note(line, "mqedge hashes calls by their metadata only, which is hdr(NAME) in HAProxy: least_conn is written instead")
		}
	}
}

var header = regexp.MustCompile(`^hdr\(([A-Za-z0-9._-]+)\)$`)

// headerOf returns the name of the header that calls are hashed by, or "".
func headerOf(l *line) string {
	if m := header.FindStringSubmatch(l.arg(1)); m != nil && !strings.HasPrefix(strings.ToLower(m[1]), "grpc-") {
		return strings.ToLower(m[1])
	}
	return ""
}

// hashKey returns what an expression stands for, or "".
func hashKey(expression string) string {
	e := strings.ToLower(strings.ReplaceAll(expression, " ", ""))
	if cut := strings.Index(e, "table"); cut > 0 {
		e = e[:cut]
	}
	first, _, _ := strings.Cut(e, ",")
	switch {
	case strings.Contains(e, "mqtt_field_value(connect,client_identifier)"):
		return "client_id"
	case strings.Contains(e, "mqtt_field_value(connect,username)"):
		return "username"
	case first == "src" || first == "fc_src":
		return "source_ip"
	case first == "ssl_fc_sni" || first == "req.ssl_sni" || first == "req_ssl_sni":
		return "sni"
	}
	return ""
}
