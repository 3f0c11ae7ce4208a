package haproxy

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// from carries over who may connect.
func (im *importer) from(f *section, first bind, l *configs.Listener, comments map[string]string) {
	im.rules(f, l)
	trust, expected := im.expectProxy(f)
	if !first.like.proxy && !expected {
		return
	}
	p := configs.DefaultProxyProtocol()
	p.Timeout = 5 * time.Second
	p.Trust = trust
	if trust != nil && first.like.proxy {
		im.note(first.from, "accept-proxy takes the header from everybody, the rule names who sends it: proxy_protocol.trust has those, and nobody else may send one")
	}
	if trust == nil {
		p.Trust = convert.Everybody()
		comments[".proxy_protocol.trust"] = "dangerous: name the load balancers"
		im.note(first.from, "accept-proxy believes everybody, so anybody could claim any address: write the load balancers' addresses into proxy_protocol.trust")
	}
	l.ProxyProtocol = &p
}

// expectProxy reads who has to send a PROXY header, by a rule; nil for everybody.
func (im *importer) expectProxy(f *section) (trust []netip.Prefix, expected bool) {
	for _, kind := range []string{"connection", "session"} {
		for _, l := range f.under("tcp-request", kind, "expect-proxy") {
			expected = true
			c, ok := im.condition(f, l, 4)
			switch {
			case ok && c.always:
				return nil, true
			case ok && c.sources != nil && !c.not:
				trust = append(trust, c.sources...)
			default:
				im.note(l, "is not understood: only { src ADDRESS… } is")
			}
		}
	}
	return trust, expected
}

// rules reads which addresses are let in and how many connections each may have.
func (im *importer) rules(f *section, l *configs.Listener) {
	var list []convert.Rule
	var only []netip.Prefix
	rest := true
	for _, kind := range []string{"connection", "session", "content"} {
		for _, line := range f.under("tcp-request", kind) {
			action := line.arg(2)
			switch {
			case action == "expect-proxy" && line.used:
			case strings.HasPrefix(action, "track-sc"): // for a limit, which says it itself
			case strings.Contains(line.text(), "mqtt_is_valid") && l.Protocol == "mqtt": // mqedge lets in nothing else
			case action != "accept" && action != "reject":
				im.note(line, "%s: mqedge has nothing like it: left out", convert.Shown(action))
			case im.limit(f, line, l):
			default:
				c, ok := im.condition(f, line, 3)
				switch {
				case ok && c.always && action == "reject":
					rest = false
				case ok && c.always:
				case !ok || c.sources == nil:
					im.unknownRule(line, l)
				case c.not && action == "reject" && only == nil:
					only = c.sources
				case c.not:
					im.unknownRule(line, l)
				default:
					for _, p := range c.sources {
						list = append(list, convert.Rule{Allow: action == "accept", From: p})
					}
				}
			}
		}
	}
	l.Allow, l.Deny = convert.Access(list, rest)
	if only != nil && rest {
		l.Allow = only
	}
}

func (im *importer) unknownRule(line *line, l *configs.Listener) {
	text := line.text()
	about := strings.Contains(text, "mqtt_") || strings.Contains(text, "req.") || strings.Contains(text, "req_") || strings.Contains(text, "WAIT_END")
	if l.Protocol == "mqtt" && line.arg(1) == "content" && about && !strings.Contains(text, "src") {
		im.note(line, "mqedge reads a whole CONNECT before it passes anything on, and refuses what is none: left out")
		return
	}
	im.note(line, "mqedge has no such rules: left out; allow and deny go by the client's address, max_connections_per_ip and connect_rate by numbers")
}

// limit reads a rule about how many connections an address has.
func (im *importer) limit(f *section, line *line, l *configs.Listener) bool {
	text := im.spelled(f, line)
	for i, word := range text {
		name := strings.TrimPrefix(word, "!")
		if cut := strings.IndexByte(name, '('); cut > 0 {
			name = name[:cut]
		}
		switch {
		case strings.HasSuffix(name, "_conn_cur"):
			number := at(text, i+1)
			if number == "gt" || number == "ge" {
				number = at(text, i+2)
			}
			n, ok := convert.Count(number)
			if !ok || n == 0 || line.arg(2) != "reject" {
				return false
			}
			if l.MaxConnectionsPerIP == 0 || n < l.MaxConnectionsPerIP {
				l.MaxConnectionsPerIP = n
			}
			f.under("stick-table")
			return true
		case strings.HasSuffix(name, "_conn_rate"), strings.HasSuffix(name, "_sess_rate"):
			im.note(line, "mqedge has no rate for each address: left out; connect_rate limits a listener, and those that wait are taken in turn by their networks")
			f.under("stick-table")
			return true
		}
	}
	return false
}

func at(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}

// spelled returns the words of a line with the lines of the ACLs that it names.
func (im *importer) spelled(f *section, l *line) []string {
	words := slices.Clone(l.words)
	for _, name := range l.words[min(3, len(l.words)):] {
		for _, acl := range f.under("acl", strings.TrimPrefix(name, "!")) {
			words = append(words, acl.words[2:]...)
		}
	}
	return words
}

// condition is what stands behind if or unless, as far as it is about addresses.
type condition struct {
	always  bool // there is none
	not     bool
	sources []netip.Prefix // nil: it is about something else
}

// condition reads what stands from word i on: nothing, or if or unless with one term, { src … } or an ACL of that.
func (im *importer) condition(f *section, l *line, i int) (c condition, ok bool) {
	words := l.words[min(i, len(l.words)):]
	if len(words) == 0 {
		return condition{always: true}, true
	}
	if words[0] != "if" && words[0] != "unless" {
		return condition{}, false
	}
	c.not = words[0] == "unless"
	words = words[1:]
	if len(words) > 0 && words[0] == "!" {
		c.not, words = !c.not, words[1:]
	} else if len(words) > 0 && strings.HasPrefix(words[0], "!") {
		c.not, words = !c.not, append([]string{words[0][1:]}, words[1:]...)
	}
	switch n := len(words); {
	case n == 1 && (words[0] == "TRUE" || words[0] == "WAIT_END"):
		return condition{always: true}, !c.not
	case n == 1:
		acls := f.under("acl", words[0])
		if slices.ContainsFunc(acls, func(acl *line) bool { return acl.arg(2) != "src" }) {
			return c, true // any of its lines is enough, so it is not about addresses alone
		}
		for _, acl := range acls {
			c.sources = append(c.sources, im.sources(acl, acl.words[2:])...)
		}
	case n > 2 && words[0] == "{" && words[n-1] == "}" && !slices.Contains(words[1:n-1], "}"):
		c.sources = im.sources(l, words[1:n-1])
	}
	return c, true
}

// sources reads src with its values.
func (im *importer) sources(l *line, words []string) []netip.Prefix {
	if at(words, 0) != "src" {
		return nil
	}
	var all []netip.Prefix
	for i := 1; i < len(words); i++ {
		switch p, ok := convert.Prefix(words[i]); {
		case words[i] == "-m" || words[i] == "-u":
			i++
		case words[i] == "-f" || words[i] == "-M":
			im.note(l, "%s: addresses of a file are left out: write them", convert.Shown("-f "+at(words, i+1)))
			i++
		case words[i] == "-i" || words[i] == "-n" || words[i] == "--":
		case ok:
			all = append(all, p)
		default:
			im.note(l, "%s is not an address or a range: left out", convert.Shown(words[i]))
		}
	}
	return all
}
