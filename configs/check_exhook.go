package configs

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

func checkHook(name string, names []string) error {
	switch {
	case slices.Contains(names, name):
		return nil
	case slices.Contains(DecidingHooks(), name):
		return fmt.Errorf("EMQX waits for the answer to %s, so it cannot be answered early: remove it", name)
	}
	return fmt.Errorf("%s is not a hook%s", shown(name), didYouMean(name, names, ": they are "+strings.Join(names, ", ")))
}

// checkMetadata is for a key of gRPC's metadata, which HTTP/2 wants in lower case.
func checkMetadata(key string) error {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c) {
			return fmt.Errorf("%s is not a key of metadata: write lower-case letters, digits, -, . and _", shown(key))
		}
	}
	if strings.HasPrefix(key, "grpc-") {
		return errors.New("keys that begin with grpc- are of the protocol: name one that callers set")
	}
	return nil
}

// calls checks an upstream that gets gRPC calls, or that has what only such an upstream can use.
func (c *checker) calls(upstream, path string) {
	u := c.cfg.Upstreams[upstream]
	others := c.users(upstream, func(l *Listener) bool { return l.Protocol != "grpc" })
	grpc := c.users(upstream, func(l *Listener) bool { return l.Protocol == "grpc" })
	if len(others) > 0 {
		c.streamsOnly(u, path, others[0], grpc)
		return
	}
	if len(grpc) == 0 {
		return
	}
	if u.SendProxy != "off" {
		c.errorf(path+".send_proxy", "providers of gRPC take no PROXY header: remove it")
	}
	if len(u.SourceAddresses) > 0 {
		c.warnf(path+".source_addresses", "has no effect on gRPC, whose calls share one connection to each endpoint: remove it")
	}
	if u.Rebalance != DefaultUpstream().Rebalance {
		c.warnf(path+".rebalance", "has no effect on gRPC, where every call is balanced: remove it")
	}
	if a := u.Health.Active.Type; a == "mqtt" || a == "emqx" {
		c.errorf(path+".health.active.type", "%s asks an MQTT broker: set it to grpc, tcp or none", a)
	}
	c.hashOfCalls(u, path)
	c.stateFile(upstream, path)
}

// stateFile checks that no other upstream writes the same file.
func (c *checker) stateFile(upstream, path string) {
	x := c.cfg.Upstreams[upstream].ExHook
	if x == nil || x.StateFile == "" {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Upstreams)) {
		other := c.cfg.Upstreams[name].ExHook
		if name < upstream && other != nil && filepath.Clean(other.StateFile) == filepath.Clean(x.StateFile) {
			c.errorf(path+".exhook.state_file", "upstreams.%s writes this file, too: give each a file of its own", name)
			return
		}
	}
}

// streamsOnly is for an upstream of other protocols.
func (c *checker) streamsOnly(u *Upstream, path, listener string, grpc []string) {
	switch {
	case len(grpc) > 0:
		c.errorf(path, "listeners.%s and listeners.%s lead here, one with protocol grpc and one without: give each an upstream of its own",
			grpc[0], listener)
	case u.ExHook != nil:
		c.errorf(path+".exhook", "listeners.%s is not of protocol grpc: set that, or remove exhook", listener)
	case u.Health.Active.Type == "grpc":
		c.errorf(path+".health.active.type", "listeners.%s is not of protocol grpc: set it to tcp, mqtt, http or emqx", listener)
	}
	if u.HashMetadata != "" {
		c.warnf(path+".hash_metadata", "has no effect with protocol %s: remove it", c.cfg.Listeners[listener].Protocol)
	}
}

func (c *checker) hashOfCalls(u *Upstream, path string) {
	switch {
	case u.ExHook != nil && u.HashMetadata != "":
		c.warnf(path+".hash_metadata", "has no effect with exhook, which goes by client id: remove it")
	case u.Balance == "hash" && u.ExHook == nil && u.HashMetadata == "":
		c.errorf(path+".balance", "hash needs hash_metadata, the key of the callers' metadata to go by, where exhook is not present")
	case u.Balance != "hash" && u.HashMetadata != "":
		c.warnf(path+".hash_metadata", "has no effect with balance %s: set that to hash", u.Balance)
	}
	if u.ExHook != nil && u.Balance == "hash" && u.HashKey != "client_id" {
		c.errorf(path+".hash_key", "hooks go by client_id: remove it")
	}
}

// grpcListener checks what only streams have.
func (c *checker) grpcListener(l *Listener, path string) {
	if l.TLS != nil && len(l.TLS.ALPN) > 0 && !slices.Contains(l.TLS.ALPN, "h2") {
		c.errorf(path+".tls.alpn", "gRPC needs h2 in this list: add it, or remove the list")
	}
	if l.IdleTimeout != DefaultListener().IdleTimeout {
		c.warnf(path+".idle_timeout", "has no effect with protocol grpc, whose connections stay open: remove it")
	}
}
