package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// checker finds what no single key can tell. A value that is wrong by itself is left out: it was reported already.
type checker struct {
	*report
	cfg     *Config
	now     time.Time
	listens map[int][]listen // by port, in the order of the file
}

func (c *checker) run() {
	c.turnOff()
	c.drain()
	c.admin()
	c.binds()
	c.references()
	c.purpose()
	c.gossip()
	for _, name := range sorted(c.cfg.Listeners) {
		c.listener(c.cfg.Listeners[name], namePath("listeners", name))
	}
	for _, name := range sorted(c.cfg.Upstreams) {
		at := namePath("upstreams", name)
		c.upstream(c.cfg.Upstreams[name], at)
		c.hash(name, at)
		c.calls(name, at)
		c.active(name, at)
		c.discovery(c.cfg.Upstreams[name], at)
	}
}

func (c *checker) drain() {
	drain := c.cfg.Drain
	if drain.Deadline < drain.Over && !c.failed("drain.over") && !c.failed("drain.deadline") {
		c.errorf("drain.deadline", "%s is before connections have been closed over %s: make it at least drain.over",
			formatDuration(drain.Deadline), formatDuration(drain.Over))
	}
}

func (c *checker) admin() {
	admin := c.cfg.Admin
	address, err := splitAddress(admin.Bind)
	if err != nil || c.failed("admin.bind") || c.failed("admin.token_file") {
		return
	}
	if admin.TokenFile != "" {
		token, err := readRegular(admin.TokenFile, maxValueFile)
		switch {
		case err != nil:
			c.errorf("admin.token_file", "%v", err)
		case len(token) == 0:
			c.errorf("admin.token_file", "%s is empty: write a token into it", admin.TokenFile)
		}
		return
	}
	if !address.ip.IsLoopback() {
		c.warnf("admin.bind", "others can reach %s, so calls that change something are refused: set admin.token_file to allow them",
			admin.Bind)
	}
}

// references checks that each listener leads somewhere, and each upstream is led to.
func (c *checker) references() {
	names := sorted(c.cfg.Upstreams)
	used := map[string]bool{}
	for _, name := range sorted(c.cfg.Listeners) {
		upstream := c.cfg.Listeners[name].Upstream
		if upstream == "" || c.failed("upstreams") {
			continue
		}
		used[upstream] = true
		if c.cfg.Upstreams[upstream] != nil || c.failed(namePath("upstreams", upstream)) {
			continue
		}
		otherwise := ": define it under upstreams"
		if n := len(names); n > 0 && n <= 10 {
			otherwise = ": the upstreams are " + words(names)
		}
		c.errorf(namePath("listeners", name)+".upstream", "there is no upstream %s%s",
			shown(upstream), didYouMean(upstream, names, otherwise))
	}
	if slices.ContainsFunc(c.problems, func(p Problem) bool { return !p.Warning && strings.HasPrefix(p.Path, "listeners") }) {
		return // nobody knows what a broken listener is going to use
	}
	for _, name := range names {
		if !used[name] {
			c.warnf(namePath("upstreams", name), "no listener uses this upstream: name it in one, or remove it")
		}
	}
}

func (c *checker) listener(l *Listener, path string) {
	if l.TLS != nil {
		c.tls(l.TLS, path+".tls")
	}
	c.tcp(l.TCP, path+".tcp")
	c.rates(l, path)
	if l.Protocol == "grpc" {
		c.grpcListener(l, path)
	}
	if l.Protocol != "mqtt" && l.MQTT != DefaultListener().MQTT {
		c.warnf(path+".mqtt", "has no effect with protocol %s: remove it", l.Protocol)
	}
}

func (c *checker) upstream(u *Upstream, path string) {
	if u.TLS != nil {
		c.upstreamTLS(u.TLS, path+".tls")
	}
	c.tcp(u.TCP, path+".tcp")
	c.sources(u, path)
	c.slowStart(u.SlowStart, path+".slow_start")
	if r := u.Rebalance; r.DisconnectsPerSecond == 0 && r != DefaultUpstream().Rebalance && !c.failed(path+".rebalance.disconnects_per_second") {
		c.warnf(path+".rebalance.threshold_percent", "has no effect without disconnects_per_second: write how many clients may be sent off a second, such as 50")
	}
	first := map[hostPort]int{}
	for i, endpoint := range u.Endpoints {
		at := fmt.Sprintf("%s.endpoints[%d].address", path, i)
		address, err := splitAddress(endpoint.Address)
		if err != nil {
			continue
		}
		if number, seen := first[address]; seen {
			c.errorf(at, "%s is endpoint %d already: remove one, and give the other a greater weight if that was meant",
				endpoint.Address, number)
			continue
		}
		first[address] = i + 1
		for _, b := range c.listens[address.port] {
			if address.reaches(b.address) {
				_, path := c.place(b.path)
				c.warnf(at, "mqedge itself listens here (%s), so connections would go round in a loop: write the address of a server", path)
			}
		}
	}
}

func (c *checker) slowStart(s SlowStart, path string) {
	rate, lasts := path+".connects_per_second", path+".for"
	switch {
	case c.failed(rate) || c.failed(lasts):
	case s.ConnectsPerSecond > 0 && s.For == 0:
		c.warnf(rate, "has no effect without for: write for how long, such as for: 30s")
	case s.ConnectsPerSecond == 0 && s.For > 0:
		c.warnf(lasts, "has no effect without connects_per_second: write how many connections an endpoint gets, such as 50")
	}
}

// users returns the listeners that lead to an upstream and for which is holds.
func (c *checker) users(upstream string, is func(*Listener) bool) []string {
	return slices.DeleteFunc(sorted(c.cfg.Listeners), func(name string) bool {
		l := c.cfg.Listeners[name]
		return l.Upstream != upstream || !is(l)
	})
}

func (c *checker) hash(upstream, path string) {
	u, at := c.cfg.Upstreams[upstream], path+".hash_key"
	if c.failed(path+".balance") || c.failed(at) {
		return
	}
	if u.Balance != "hash" {
		if u.HashKey != DefaultUpstream().HashKey {
			c.warnf(at, "has no effect with balance %s: set that to hash", u.Balance)
		}
		return
	}
	switch u.HashKey {
	case "client_id", "username":
		if names := c.users(upstream, func(l *Listener) bool { return l.Protocol == "tcp" }); len(names) > 0 {
			c.warnf(at, "listeners.%s has protocol tcp, which reads no %s, so its clients go by their address: write source_ip",
				names[0], u.HashKey)
		}
	case "sni":
		if names := c.users(upstream, func(l *Listener) bool { return l.TLS == nil }); len(names) > 0 {
			c.warnf(at, "listeners.%s has no tls section and so no server names, so its clients go by their address: write source_ip",
				names[0])
		}
	}
}
