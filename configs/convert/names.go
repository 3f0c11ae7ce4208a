package convert

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/mqedge/mqedge/configs"
)

// UpstreamName makes a name for the upstream of an address alone: of the host's, if it has one.
func UpstreamName(address string, l *configs.Listener) string {
	host, port, _ := net.SplitHostPort(address)
	if _, err := netip.ParseAddr(SameHost(host)); err == nil {
		return baseName(l) + "_" + port
	}
	name, _, _ := strings.Cut(host, ".")
	return name
}

// baseName is the scheme of a listener, as in URLs of clients.
func baseName(l *configs.Listener) string {
	plain, secure := l.Protocol, l.Protocol
	switch l.Protocol {
	case "mqtt":
		secure = "mqtts"
	case "mqtt_ws":
		plain, secure = "ws", "wss"
	case "tcp":
		secure = "tls"
	case "grpc":
		secure = "grpcs"
	}
	if l.TLS != nil {
		return secure
	}
	return plain
}

// listenerName is the scheme alone for the first listener of it, and with the port for others and for protocol tcp.
func (d *Draft) listenerName(l *configs.Listener) string {
	port := fmt.Sprint(Ports(l.Bind)[0])
	if l.Protocol == "tcp" {
		return unused(d.Config.Listeners, baseName(l)+"_"+port, port)
	}
	return unused(d.Config.Listeners, baseName(l), port)
}

// clean makes a text into a name that needs no quotes in YAML or in a shell.
func clean(name string) string {
	name = strings.Map(func(c rune) rune {
		if c < 0x80 && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-' || c == '.') || c >= 0xc0 && c < 0xfffd {
			return c
		}
		return '_'
	}, name)
	if name == "" {
		return "_"
	}
	return name
}

// unused returns a name that is not taken: as it is, or with what tells it from the other.
func unused[V any](taken map[string]V, name, port string) string {
	if _, is := taken[name]; !is {
		return name
	}
	with := name + "_" + port
	for n := 2; ; n++ {
		if _, is := taken[with]; !is {
			return with
		}
		with = fmt.Sprintf("%s_%s_%d", name, port, n)
	}
}
