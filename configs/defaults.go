package configs

import (
	"reflect"
	"time"
)

// Default returns the sections of a file in which nothing is written: no listener and no upstream.
func Default() Config {
	return Config{
		Log:       Log{Level: "info", Format: "text"},
		AccessLog: AccessLog{Path: "-", Format: "json"},
		Admin:     Admin{Bind: "127.0.0.1:9901"},
		Drain:     Drain{Over: 30 * time.Second, Deadline: 60 * time.Second},
	}
}

// DefaultListener returns a listener without its required keys.
func DefaultListener() Listener {
	return Listener{
		Protocol:         "mqtt",
		HandshakeTimeout: 5 * time.Second,
		IdleTimeout:      350 * time.Second,
		TCP:              TCP{UserTimeout: time.Minute},
		MQTT:             MQTT{ConnectTimeout: 5 * time.Second, MaxConnectSize: 64 << 10, Retry: true},
	}
}

// DefaultTLS returns the tls section of a listener without its certificates.
func DefaultTLS() TLS {
	return TLS{MinVersion: "1.2", ClientAuth: "none"}
}

// DefaultProxyProtocol returns the proxy_protocol section without the peers to trust.
func DefaultProxyProtocol() ProxyProtocol {
	return ProxyProtocol{Timeout: 5 * time.Second}
}

// DefaultUpstream returns an upstream without endpoints.
func DefaultUpstream() Upstream {
	return Upstream{
		Balance:        "least_conn",
		HashKey:        "client_id",
		SendProxy:      "off",
		ConnectTimeout: 3 * time.Second,
		Tries:          3,
		Rebalance:      Rebalance{ThresholdPercent: 10},
		TCP:            TCP{KeepAlive: 30 * time.Second, UserTimeout: time.Minute},
		Health: Health{
			Active:  Active{Type: "none", Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3},
			Passive: Passive{MaxFails: 3, FailTimeout: 10 * time.Second},
		},
	}
}

// DefaultEndpoint returns an endpoint without its address.
func DefaultEndpoint() Endpoint {
	return Endpoint{Weight: 1}
}

// defaultOf returns a T in which no key is written.
func defaultOf(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[Config]():
		return reflect.ValueOf(Default())
	case reflect.TypeFor[Listener]():
		return reflect.ValueOf(DefaultListener())
	case reflect.TypeFor[TLS]():
		return reflect.ValueOf(DefaultTLS())
	case reflect.TypeFor[ProxyProtocol]():
		return reflect.ValueOf(DefaultProxyProtocol())
	case reflect.TypeFor[Upstream]():
		return reflect.ValueOf(DefaultUpstream())
	case reflect.TypeFor[ExHook]():
		return reflect.ValueOf(DefaultExHook())
	case reflect.TypeFor[DNS]():
		return reflect.ValueOf(DefaultDNS())
	case reflect.TypeFor[Gossip]():
		return reflect.ValueOf(DefaultGossip())
	case reflect.TypeFor[Docker]():
		return reflect.ValueOf(DefaultDocker())
	case reflect.TypeFor[Announcement]():
		return reflect.ValueOf(DefaultAnnouncement())
	case reflect.TypeFor[Endpoint]():
		return reflect.ValueOf(DefaultEndpoint())
	}
	return reflect.Zero(t)
}
