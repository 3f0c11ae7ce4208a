package haproxy

import (
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// judged is how a server is asked, which mqedge has once for an upstream.
type judged struct {
	check      bool
	port       int
	inter      time.Duration
	rise, fall int
}

// health reads how the servers of a backend are asked, and what is made of failed connections.
func (im *importer) health(b *section, servers []server, l *configs.Listener, u *configs.Upstream) {
	if len(servers) == 0 {
		return
	}
	of := func(s server) judged {
		if !s.check {
			return judged{}
		}
		return judged{true, s.checkPort, s.inter, s.rise, s.fall}
	}
	most := mostly(servers, of)
	if !most.check { // one that is asked tells of all
		for _, s := range servers {
			if s.check && !most.check {
				most = of(s)
			}
		}
	}
	for _, s := range servers {
		if of(s) != most {
			im.note(s.from, "its check is not that of the other servers: mqedge has one for an upstream")
		}
		if s.observe {
			u.Health.Passive.MaxFails = s.errors
		}
	}
	if !most.check {
		return
	}
	a := &u.Health.Active
	a.Interval, a.Rise, a.Fall, a.Port = max(most.inter, 100*time.Millisecond), max(most.rise, 1), max(most.fall, 1), most.port
	a.Timeout = min(a.Interval, configs.DefaultUpstream().Health.Active.Timeout)
	if t, line := im.timeout(b, "check"); line != nil {
		a.Timeout = min(max(t, 100*time.Millisecond), a.Interval)
	}
	im.checkType(b, l, a)
	if a.Port > 65535 {
		a.Port = 0
	}
}

// checkType reads what the servers are asked.
func (im *importer) checkType(b *section, l *configs.Listener, a *configs.Active) {
	a.Type = "tcp"
	http := b.last("option", "httpchk")
	rules := append(b.under("tcp-check", "send"), append(b.under("tcp-check", "send-binary"), b.under("tcp-check", "expect")...)...)
	connect := b.last("tcp-check", "connect")
	b.on("tcp-check")
	for _, name := range []string{"ssl-hello-chk", "smtpchk", "mysql-check", "pgsql-check", "redis-check", "ldap-check", "external-check", "spop-check"} {
		if line := b.last("option", name); line != nil {
			im.note(line, "mqedge has no such check: endpoints are connected to; mqtt, emqx and http see more, see health.active")
		}
	}
	switch {
	case l.Protocol == "grpc":
		a.Type = "grpc"
	case http != nil:
		im.httpCheck(b, http, a)
	case len(rules) > 0 && l.Protocol == "mqtt":
		a.Type = "mqtt"
		im.note(rules[0], "mqedge's own check of MQTT is written instead: a client that connects, pings and leaves")
	case len(rules) > 0:
		im.note(rules[0], "mqedge sends nothing of its own: endpoints are connected to")
	}
	if connect != nil && a.Port == 0 && a.Type == "tcp" {
		for i, word := range connect.words {
			if n, ok := convert.Number(connect.arg(i + 1)); word == "port" && ok {
				a.Port = n
			}
		}
	}
}

// httpCheck reads a check by HTTP. EMQX's own has a type that knows more of it.
func (im *importer) httpCheck(b *section, option *line, a *configs.Active) {
	path := "/"
	if option.arg(2) != "" {
		path = option.arg(2)
	}
	if option.arg(3) != "" {
		path = option.arg(3)
	}
	for _, l := range b.under("http-check", "send") {
		for i, word := range l.words {
			if word == "uri" && l.arg(i+1) != "" {
				path = l.arg(i + 1)
			}
		}
	}
	for _, l := range b.under("http-check", "connect") {
		for i, word := range l.words {
			if n, ok := convert.Number(l.arg(i + 1)); word == "port" && ok && a.Port == 0 {
				a.Port = n
			} else if word == "ssl" {
				im.note(l, "mqedge asks in plain HTTP: left out")
			}
		}
	}
	for _, l := range b.under("http-check", "expect") {
		im.note(l, "mqedge takes every status from 200 to 399 for good; a check of type emqx takes what EMQX means by it")
	}
	if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' }) {
		im.note(option, "%s is not a path: / is written", convert.Shown(path))
		path = "/"
	}
	switch {
	case strings.Contains(path, "availability_check"):
		a.Type = "emqx"
		if path != "/api/v5/load_rebalance/availability_check" {
			a.Path = path
		}
	case path == "/status":
		a.Type = "emqx"
	default:
		a.Type, a.Path = "http", path
	}
	const dashboard = 18083
	if a.Type == "emqx" && a.Port == dashboard {
		a.Port = 0
	}
}
