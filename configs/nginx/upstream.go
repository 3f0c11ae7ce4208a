package nginx

import (
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// target is where a server passes to, before that server's own settings.
type target struct {
	name      string
	from      *directive
	known     bool // an upstream, not an address in proxy_pass
	endpoints []configs.Endpoint
	places    []*directive // of the endpoints
	balance   string
	hashKey   string
	passive   configs.Passive

	hashMetadata string // of calls: the key that nginx hashes by, "" for none
}

// target finds what a server passes to. The text tells what is in the way, if it is nil.
func (im *importer) target(server *directive) (*target, string) {
	passes := server.all("proxy_pass")
	if len(passes) == 0 {
		return nil, "it has no proxy_pass"
	}
	pass := passes[0]
	if len(pass.args) != 1 {
		return nil, "its proxy_pass is not understood"
	}
	return im.targetOf(pass, pass.args[0])
}

// targetOf finds what a directive passes to.
func (im *importer) targetOf(pass *directive, to string) (*target, string) {
	switch {
	case strings.Contains(to, "$"):
		return nil, pass.name + " goes by a variable, " + convert.Shown(to) + ", where mqedge has one upstream for a listener: give each address a listener of its own"
	case strings.HasPrefix(to, "unix:"):
		return nil, pass.name + " goes to a unix socket, which mqedge does not do: let the server behind it listen on TCP"
	}
	if u := im.blocks[to]; u != nil {
		if im.targets[u] == nil {
			im.targets[u] = im.upstream(u)
		}
		t := im.targets[u]
		if len(t.endpoints) == 0 {
			return nil, "upstream " + convert.Shown(to) + " has no server that can be carried over"
		}
		return t, ""
	}
	address, ok := convert.Address(to)
	if !ok {
		return nil, pass.name + " goes to " + convert.Shown(to) + ", which is neither an upstream nor host:port"
	}
	endpoint := configs.DefaultEndpoint()
	endpoint.Address = address
	return &target{
		name: to, from: pass, endpoints: []configs.Endpoint{endpoint}, places: []*directive{pass},
		balance: "round_robin", hashKey: configs.DefaultUpstream().HashKey, passive: nginxPassive(),
	}, ""
}

func nginxPassive() configs.Passive {
	return configs.Passive{MaxFails: 1, FailTimeout: 10 * time.Second}
}

func (im *importer) upstream(u *directive) *target {
	t := &target{name: u.args[0], from: u, known: true, hashKey: configs.DefaultUpstream().HashKey}
	var judged []configs.Passive
	for _, s := range u.all("server") {
		endpoint, passive, ok := im.endpoint(s)
		if !ok {
			continue
		}
		if i := t.index(endpoint.Address); i >= 0 {
			im.add(s, "%s is there already in line %d: its weight is added to that one", endpoint.Address, t.places[i].line)
			t.endpoints[i].Weight = min(t.endpoints[i].Weight+endpoint.Weight, mostWeight)
			continue
		}
		t.endpoints, t.places, judged = append(t.endpoints, endpoint), append(t.places, s), append(judged, passive)
	}
	t.passive = im.passive(t, judged)
	im.balance(u, t)
	return t
}

func (t *target) index(address string) int {
	for i, e := range t.endpoints {
		if convert.SameAddress(e.Address) == convert.SameAddress(address) {
			return i
		}
	}
	return -1
}

// passive returns what most endpoints of an upstream are judged by, since mqedge judges all alike.
func (im *importer) passive(t *target, judged []configs.Passive) configs.Passive {
	count, best := map[configs.Passive]int{}, nginxPassive()
	for _, p := range judged {
		count[p]++
		if count[p] > count[best] {
			best = p
		}
	}
	for i, p := range judged {
		if p != best {
			im.add(t.places[i], "max_fails=%d fail_timeout=%s is not that of the other servers: mqedge has one for an upstream, max_fails %d and fail_timeout %s",
				p.MaxFails, p.FailTimeout, best.MaxFails, best.FailTimeout)
		}
	}
	return best
}

const mostWeight = 65535

// serviceOf returns the name that nginx asks for SRV records, with service=NAME behind a host; "" without.
func serviceOf(args []string) string {
	for _, option := range args[1:] {
		service, ok := strings.CutPrefix(option, "service=")
		switch {
		case !ok || service == "":
		case strings.HasPrefix(service, "_"):
			return service + "." + args[0]
		default:
			return "_" + service + "._tcp." + args[0]
		}
	}
	return ""
}

func (im *importer) endpoint(s *directive) (e configs.Endpoint, p configs.Passive, ok bool) {
	if len(s.args) == 0 {
		im.add(s, "has no address: left out")
		return e, p, false
	}
	text := s.args[0]
	if strings.HasPrefix(text, "unix:") {
		im.add(s, "mqedge does not connect to unix sockets: left out, let the server listen on TCP")
		return e, p, false
	}
	e, p = configs.DefaultEndpoint(), nginxPassive()
	if name := serviceOf(s.args); name != "" {
		im.add(s, "left out, as it is a name of SRV records: write dns: {name: %s, type: srv} into the upstream", convert.Shown(name))
		return e, p, false
	}
	if im.calls {
		text = withPort(text, false)
	}
	if e.Address, ok = convert.Address(text); !ok {
		im.add(s, "%s is not host:port: left out", convert.Shown(text))
		return e, p, false
	}
	for _, option := range s.args[1:] {
		key, value, _ := strings.Cut(option, "=")
		n, isNumber := convert.Number(value)
		if key == "max_conns" {
			n, isNumber = convert.Count(value)
		}
		switch key {
		case "weight", "max_fails", "max_conns":
			if !isNumber || key == "weight" && n == 0 {
				im.add(s, "%s is not understood: left out", convert.Shown(option))
				continue
			}
			switch key {
			case "weight":
				if n > mostWeight {
					im.add(s, "weight=%d is more than mqedge takes: it is %d now", n, mostWeight)
				}
				e.Weight = min(n, mostWeight)
			case "max_fails":
				p.MaxFails = n
			default:
				e.MaxConnections = n
			}
		case "fail_timeout":
			if t, ok := parseTime(value); ok && t > 0 {
				p.FailTimeout = t
			} else {
				im.add(s, "%s is not a time that mqedge can take: it is %s", convert.Shown(option), p.FailTimeout)
			}
		case "backup":
			e.Backup = true
		case "resolve":
			host, port, _ := net.SplitHostPort(e.Address)
			if _, err := netip.ParseAddr(host); err == nil {
				continue // there is nothing to resolve
			}
			im.add(s, "resolve: the name is one endpoint, resolved at every connection; with dns: {name: %s, port: %s} in place of it each of its addresses is one", host, port)
		case "down":
			im.add(s, "down: left out; add it to endpoints once it is back (`mqedge drain` takes one out while running)")
			return e, p, false
		case "slow_start":
			im.add(s, "%s: mqedge has a rate instead, such as slow_start: {connects_per_second: 50, for: 30s} of the upstream", convert.Shown(option))
		default:
			im.add(s, "%s: mqedge has nothing like it, the endpoint is used without", convert.Shown(option))
		}
	}
	return e, p, true
}

// balance reads which policy an upstream has, and what hash goes by.
func (im *importer) balance(u *directive, t *target) {
	t.balance = "round_robin"
	switch {
	case len(u.all("least_conn")) > 0:
		t.balance = "least_conn"
	case len(u.all("hash")) > 0 && im.calls:
		im.hashOfCalls(u.all("hash")[0], t)
	case len(u.all("hash")) > 0:
		im.hash(u.all("hash")[0], t)
	case len(u.all("random")) > 0:
		t.balance = "random_two"
		if d := u.all("random")[0]; len(d.args) == 0 || d.args[0] != "two" {
			im.add(d, "one at random: mqedge takes the better of two, random_two, which is at least as even")
		} else if len(d.args) > 1 && d.args[1] != "least_conn" {
			im.add(d, "%s: mqedge takes the one with fewer connections of two", convert.Shown(d.args[1]))
		}
	case len(u.all("least_time")) > 0:
		t.balance = "least_conn"
		im.add(u.all("least_time")[0], "mqedge does not go by time: least_conn is written instead")
	case len(u.all("ip_hash")) > 0:
		t.balance, t.hashKey = "hash", "source_ip"
	}
}

func (im *importer) hash(d *directive, t *target) {
	if len(d.args) == 0 {
		im.add(d, "goes by nothing: left out")
		return
	}
	t.balance = "hash"
	switch variable(d.args[0]) {
	case "remote_addr", "binary_remote_addr", "proxy_protocol_addr", "realip_remote_addr":
		t.hashKey = "source_ip"
	case "ssl_server_name", "ssl_preread_server_name":
		t.hashKey = "sni"
	case "mqtt_preread_clientid":
		t.hashKey = "client_id"
	case "mqtt_preread_username":
		t.hashKey = "username"
	default:
		if key := im.scripted(variable(d.args[0])); key != "" {
			t.hashKey = key
			im.add(d, "carried over as hash_key %s, as a script seems to read that: mqedge reads CONNECT by itself; clients change their server once, when you switch", key)
			return
		}
		t.balance = "least_conn"
		im.add(d, "mqedge does not hash by %s, only by client_id, username, source_ip or sni: least_conn is written instead", convert.Shown(d.args[0]))
		return
	}
	im.add(d, "carried over, by another function than nginx's, always consistent: clients change their server once, when you switch")
}

// scripted guesses what a variable of js_set stands for, by its name and that of its function.
func (im *importer) scripted(name string) string {
	for _, d := range im.scripts {
		if len(d.args) < 2 || variable(d.args[0]) != name || name == "" {
			continue
		}
		switch said := strings.ToLower(d.args[0] + d.args[1]); {
		case strings.Contains(said, "client"):
			return "client_id"
		case strings.Contains(said, "user"):
			return "username"
		}
	}
	return ""
}

var oneVariable = regexp.MustCompile(`^\$(?:\{(\w+)\}|(\w+))$`)

// variable returns the name in a text that is one variable, or "".
func variable(text string) string {
	m := oneVariable.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}
