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
	c.drain()
	c.admin()
	c.binds()
	c.references()
	for _, name := range sorted(c.cfg.Listeners) {
		c.listener(c.cfg.Listeners[name], namePath("listeners", name))
	}
	for _, name := range sorted(c.cfg.Upstreams) {
		c.upstream(c.cfg.Upstreams[name], namePath("upstreams", name))
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
	if l.Protocol != "mqtt" && l.MQTT != DefaultListener().MQTT {
		c.warnf(path+".mqtt", "has no effect with protocol %s: remove it", l.Protocol)
	}
}

func (c *checker) upstream(u *Upstream, path string) {
	if u.TLS != nil {
		c.upstreamTLS(u.TLS, path+".tls")
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
