package configs

import (
	"fmt"
	"net/url"
	"strings"
)

// dashboardPort is where EMQX answers HTTP unless told otherwise.
const dashboardPort = 18083

// active checks that the health check of an upstream can be answered.
func (c *checker) active(upstream, path string) {
	u := c.cfg.Upstreams[upstream]
	a, path := u.Health.Active, path+".health.active"
	if a.Type == "none" || c.failed(path+".type") {
		return
	}
	if a.Timeout > a.Interval && !c.failed(path+".timeout") && !c.failed(path+".interval") {
		c.warnf(path+".timeout", "%s is longer than interval, %s, so that a check without answer delays the next: write %s or less",
			formatDuration(a.Timeout), formatDuration(a.Interval), formatDuration(a.Interval))
	}
	if a.Path != "" && a.Type != "http" && a.Type != "emqx" {
		c.warnf(path+".path", "has no effect with type %s: remove it", a.Type)
	}
	if a.Type != "mqtt" {
		for key, value := range map[string]string{"username": a.Username, "password": a.Password} {
			if value != "" {
				c.warnf(path+"."+key, "has no effect with type %s: remove it", a.Type)
			}
		}
	}
	if !c.failed(path + ".port") {
		c.activePort(upstream, path)
		c.oneForAll(u, path)
	}
}

// activePort warns of endpoints that do not speak what they are asked in, which would all be down.
func (c *checker) activePort(upstream, path string) {
	a := c.cfg.Upstreams[upstream].Health.Active
	if a.Port != 0 {
		return
	}
	switch a.Type {
	case "mqtt":
		if names := c.users(upstream, func(l *Listener) bool { return l.Protocol == "mqtt_ws" }); len(names) > 0 {
			c.warnf(path+".type", "the endpoints of listeners.%s speak WebSocket: set port to that of EMQX's MQTT listener, or use tcp", names[0])
		}
	case "http":
		if names := c.users(upstream, func(l *Listener) bool { return l.Protocol != "tcp" }); len(names) > 0 {
			c.warnf(path+".type", "the endpoints of listeners.%s answer no HTTP: set port, which is %d for EMQX's dashboard, or use emqx",
				names[0], dashboardPort)
		}
	}
}

// oneForAll warns of endpoints that share a host and with it what answers on the port of the check.
func (c *checker) oneForAll(u *Upstream, path string) {
	a := u.Health.Active
	port := a.Port
	if port == 0 && a.Type == "emqx" {
		port = dashboardPort
	}
	if port == 0 {
		return
	}
	first := map[string]string{}
	for _, endpoint := range u.Endpoints {
		address, err := splitAddress(endpoint.Address)
		if err != nil {
			continue
		}
		if other, seen := first[address.host]; seen {
			c.warnf(path+".type", "port %d of one host answers for %s and %s both: use tcp or mqtt without port, which ask each endpoint itself",
				port, other, endpoint.Address)
			return
		}
		first[address.host] = endpoint.Address
	}
}

// checkPath accepts what may stand in a request line.
func checkPath(text string) error {
	if !strings.HasPrefix(text, "/") {
		return fmt.Errorf("%s does not begin with /: write a path such as /status", shown(text))
	}
	if _, err := url.ParseRequestURI(text); err != nil || strings.ContainsAny(text, " #") {
		return fmt.Errorf("%s is not the path of a URL: write a space as %%20, # as %%23 and %% as %%25", shown(text))
	}
	return nil
}
