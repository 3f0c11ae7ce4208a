package edge

import (
	"crypto/tls"
	"fmt"
	"net/netip"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/proxy"
	"github.com/mqedge/mqedge/proxy/admit"
	"github.com/mqedge/mqedge/proxy/ports"
	"github.com/mqedge/mqedge/proxy/relay"
)

// The functions here turn the words of a checked configuration into the
// options of the packages that do the work.

func tlsVersion(s string) uint16 {
	switch s {
	case "1.0":
		return tls.VersionTLS10
	case "1.1":
		return tls.VersionTLS11
	case "1.2":
		return tls.VersionTLS12
	case "1.3":
		return tls.VersionTLS13
	}
	return 0
}

func cipherSuites(names []string) []uint16 {
	var ids []uint16
	for _, name := range names {
		for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
			for _, suite := range list {
				if suite.Name == name {
					ids = append(ids, suite.ID)
				}
			}
		}
	}
	return ids
}

func certOptions(protocol string, t *configs.TLS) certs.Options {
	o := certs.Options{
		MinVersion: tlsVersion(t.MinVersion), MaxVersion: tlsVersion(t.MaxVersion),
		CipherSuites: cipherSuites(t.CipherSuites), ALPN: t.ALPN,
		ClientCAFile: t.ClientCAFile, ClientCRLFile: t.ClientCRLFile,
		TicketKeysFile: t.TicketKeysFile,
	}
	if protocol == string(proxy.GRPC) && len(o.ALPN) == 0 {
		o.ALPN = []string{"h2"} // RFC 9113 section 3.2
	}
	for _, c := range t.Certificates {
		o.Certificates = append(o.Certificates, certs.KeyPair{CertFile: c.CertFile, KeyFile: c.KeyFile})
	}
	switch t.ClientAuth {
	case "request":
		o.ClientAuth = certs.Request
	case "require":
		o.ClientAuth = certs.Require
	}
	return o
}

func endpoints(list []configs.Endpoint) []balancer.Endpoint {
	out := make([]balancer.Endpoint, len(list))
	for i, e := range list {
		out[i] = balancer.Endpoint{
			Addr: e.Address, Weight: uint32(e.Weight), MaxConnections: e.MaxConnections,
			Backup: e.Backup, Source: "static",
		}
	}
	return out
}

func poolOptions(u *configs.Upstream, onChange func(balancer.Change)) balancer.Options {
	return balancer.Options{
		Policy:   balancer.Policy(u.Balance),
		MaxFails: u.Health.Passive.MaxFails, FailTimeout: u.Health.Passive.FailTimeout,
		SlowStart: balancer.SlowStart{ConnectsPerSecond: u.SlowStart.ConnectsPerSecond, For: u.SlowStart.For},
		OnChange:  onChange,
	}
}

// hashKey is what a pool with this upstream's balance goes by.
func hashKey(u *configs.Upstream) string {
	if u.Balance != "hash" {
		return ""
	}
	return u.HashKey
}

func checkOptions(a configs.Active, p balancer.Prober) balancer.CheckOptions {
	return balancer.CheckOptions{Prober: p, Interval: a.Interval, Timeout: a.Timeout, Rise: a.Rise, Fall: a.Fall}
}

func sendProxy(s string) byte {
	switch s {
	case "v1":
		return 1
	case "v2":
		return 2
	}
	return 0
}

func tcpOptions(t configs.TCP) relay.TCP {
	return relay.TCP{KeepAlive: t.KeepAlive, UserTimeout: t.UserTimeout}
}

func limit(r configs.Rate) admit.Limit {
	return admit.Limit{PerSecond: r.PerSecond, Burst: r.Burst, Queue: r.Queue, Wait: r.Wait}
}

// sourceAddresses returns the addresses, which are to be this host's.
func sourceAddresses(upstream string, texts []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err == nil {
			err = ports.Check(addr)
		}
		if err != nil {
			return nil, fmt.Errorf("upstreams.%s.source_addresses: %w", upstream, err)
		}
		out = append(out, addr)
	}
	return out, nil
}

// settings leaves out what needs other parts: TLS, the route's pool and sources, the log.
func settings(l *configs.Listener, u *configs.Upstream) *proxy.Settings {
	s := &proxy.Settings{
		Protocol: proxy.Protocol(l.Protocol),
		Route: proxy.Route{
			SendProxy: sendProxy(u.SendProxy), TCP: tcpOptions(u.TCP), ConnectTimeout: u.ConnectTimeout, Tries: u.Tries, HashKey: hashKey(u),
		},
		TCP:              tcpOptions(l.TCP),
		HandshakeTimeout: l.HandshakeTimeout, IdleTimeout: l.IdleTimeout,
		ConnectTimeout: l.MQTT.ConnectTimeout, MaxConnectSize: int(l.MQTT.MaxConnectSize), OneEndpoint: !l.MQTT.Retry,
		Allow: l.Allow, Deny: l.Deny,
		MaxConnections: l.MaxConnections, MaxConnectionsPerIP: l.MaxConnectionsPerIP,
		MaxHalfOpen: l.MaxHalfOpen, ConnectRate: limit(l.ConnectRate),
	}
	if l.TLS != nil {
		s.FullHandshakes = limit(l.TLS.FullHandshakes)
	}
	if p := l.ProxyProtocol; p != nil {
		s.Trust, s.ProxyTimeout = append([]netip.Prefix{}, p.Trust...), p.Timeout
	}
	return s
}
