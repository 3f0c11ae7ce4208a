package haproxy

import (
	"regexp"
	"strconv"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

var timeText = regexp.MustCompile(`^(\d{1,12})(us|ms|s|m|h|d)?$`)

// parseTime reads a time as HAProxy writes it: one number with a unit, milliseconds without one.
func parseTime(text string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
	const most = 10 * 365 * 24 * time.Hour
	m := timeText.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	if time.Duration(n) > most/units[m[2]] {
		return 0, false
	}
	return time.Duration(n) * units[m[2]], true
}

// timeout returns one of the times of a section, at least a millisecond; 0 if there is none.
func (im *importer) timeout(s *section, name string) (time.Duration, *line) {
	l := s.last("timeout", name)
	if l == nil {
		return 0, nil
	}
	t, ok := parseTime(l.arg(2))
	if !ok || t < time.Millisecond {
		im.note(l, "%s is not a time that mqedge can take: left out", convert.Shown(l.arg(2)))
		return 0, nil
	}
	return t, l
}

// listenerTimes carries over how long clients may be silent.
func (im *importer) listenerTimes(f, b *section, from bind, l *configs.Listener, comments map[string]string) {
	client, clientLine := im.timeout(f, "client")
	server, serverLine := im.timeout(b, "server")
	tunnel, tunnelLine := im.timeout(b, "tunnel")
	if l.TLS != nil && client > 0 {
		l.HandshakeTimeout = min(client, time.Minute)
		comments[".handshake_timeout"] = "HAProxy's is timeout client"
	}
	if l.Protocol != "grpc" {
		idle, from := client, clientLine
		switch {
		case tunnel > 0:
			idle, from = tunnel, tunnelLine
		case server > 0 && (client == 0 || server < client):
			idle, from = server, serverLine
			if client > 0 {
				im.note(serverLine, "mqedge has one time for silence in both directions, idle_timeout: it is this, the shorter one")
			}
		}
		if from != nil {
			l.IdleTimeout = idle
			comments[".idle_timeout"] = im.Origin(from.place())
			if l.Protocol != "tcp" {
				comments[".idle_timeout"] += ", for clients without keepalive"
			}
		}
	}
	if inspect := f.last("tcp-request", "inspect-delay"); inspect != nil && l.Protocol == "mqtt" {
		if t, ok := parseTime(inspect.arg(2)); ok && t >= time.Millisecond {
			l.MQTT.ConnectTimeout = t
		}
	}
	if from.like.userTimeout > 0 {
		l.TCP.UserTimeout = min(from.like.userTimeout, 24*time.Hour)
	}
	if f.on("clitcpka") || f.on("tcpka") {
		l.TCP.KeepAlive = im.probes(f, "clitcpka-idle")
		l.TCP.UserTimeout = max(l.TCP.UserTimeout, 2*l.TCP.KeepAlive)
	}
}

// probes returns after which silence the kernel probes: the line says it, or the kernel.
func (im *importer) probes(s *section, name string) time.Duration {
	const ofLinux = 2 * time.Hour
	if l := s.last(name); l != nil {
		if t, ok := parseTime(l.arg(1)); ok && t >= time.Second {
			return min(t.Truncate(time.Second), 9*time.Hour)
		}
	}
	return ofLinux
}

// rate carries over a limit of new connections.
func (im *importer) rate(f *section, l *configs.Listener) {
	limit := f.last("rate-limit", "sessions")
	if limit == nil {
		return
	}
	n, ok := convert.Number(limit.arg(2))
	if !ok || n == 0 {
		im.note(limit, "%s is not a limit: left out", convert.Shown(limit.arg(2)))
		return
	}
	l.ConnectRate = configs.Rate{PerSecond: n, Queue: min(10*n, 1_000_000)}
	im.note(limit, "those beyond it wait in HAProxy's socket, here in a queue that is fair between networks: connect_rate.queue %d is a guess, what ten seconds bring", l.ConnectRate.Queue)
}
