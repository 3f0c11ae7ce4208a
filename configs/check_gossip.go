package configs

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

const (
	mostGossipKeys = 8
	keysRemedy     = "write one key a line, at most 8, each the output of mqedge keygen"
	mostTags       = 16
)

// turnOff removes sections that ask for nothing.
func (c *checker) turnOff() {
	for name, u := range c.cfg.Upstreams {
		if path := namePath("upstreams", name) + ".dns"; u.DNS != nil && u.DNS.Name == "" {
			if !c.failed(path) && !c.failed(path+".name") && (u.DNS.Port != 0 || u.DNS.Resolver != "" || u.DNS.Type != DefaultDNS().Type) {
				c.errorf(path+".name", "is empty: write the name to ask for, such as emqx.example.com")
			}
			u.DNS = nil
		}
	}
	if g := c.cfg.Gossip; g != nil && g.Docker != nil && g.Docker.Socket == "" && !c.failed("gossip.docker") {
		if g.Docker.Host != "" {
			c.warnf("gossip.docker.host", "has no effect, since socket is empty: remove it, or write socket: %s", DefaultDocker().Socket)
		}
		g.Docker = nil
	}
	if g := c.cfg.Gossip; g != nil && g.empty() && !c.failed("gossip") {
		c.cfg.Gossip = nil
	}
}

// empty says whether nothing but defaults is written.
func (g *Gossip) empty() bool {
	rest := *g
	rest.Join, rest.Allow, rest.Announce = nil, nil, nil
	return len(g.Join)+len(g.Allow)+len(g.Announce) == 0 && reflect.DeepEqual(rest, DefaultGossip())
}

// purpose checks that the process has something to do: to listen, or to announce.
func (c *checker) purpose() {
	if len(c.cfg.Listeners) > 0 || c.failed("") || c.failed("listeners") || c.failed("gossip") || c.failed("gossip.announce") || c.failed("gossip.docker") {
		return
	}
	if c.cfg.Gossip == nil || len(c.cfg.Gossip.Announce) == 0 && c.cfg.Gossip.Docker == nil {
		c.missing("listeners", "name at least one listener, with bind and upstream")
	}
}

// missing is for what is required unless something else is there.
func (c *checker) missing(path, remedy string) {
	if _, written := c.at[path]; written {
		c.errorf(path, "is empty: %s", remedy)
		return
	}
	c.errorf(path, "is missing: %s", remedy)
}

// discovery checks where the endpoints of an upstream come from.
func (c *checker) discovery(u *Upstream, path string) {
	if c.failed(path) {
		return
	}
	if len(u.Endpoints) == 0 && u.Gossip == "" && u.DNS == nil &&
		!c.failed(path+".endpoints") && !c.failed(path+".gossip") && !c.failed(path+".dns") {
		c.missing(path+".endpoints", "write at least one, such as - {address: 127.0.0.1:1883}")
	}
	if u.Gossip != "" && c.cfg.Gossip == nil && !c.failed("gossip") {
		c.errorf(path+".gossip", "there is no gossip section to hear of endpoints: write one, with join and key_file")
	}
	if d := u.DNS; d != nil && !c.failed(path+".dns") && !c.failed(path+".dns.type") && !c.failed(path+".dns.port") {
		switch {
		case d.Type == "a" && d.Port == 0:
			c.errorf(path+".dns.port", "is missing: addresses have no port, so write that of the endpoints, or set type to srv")
		case d.Type == "srv" && d.Port != 0:
			c.warnf(path+".dns.port", "has no effect with type srv, whose records have ports: remove it")
		}
	}
}

func (c *checker) gossip() {
	g := c.cfg.Gossip
	if g == nil || c.failed("gossip") {
		return
	}
	if len(g.Label) > 255 {
		c.errorf("gossip.label", "has %d bytes: at most 255", len(g.Label))
	}
	c.gossipKeys(g)
	type place struct{ service, address string }
	first := map[place]int{}
	for i, a := range g.Announce {
		path := fmt.Sprintf("gossip.announce[%d]", i)
		if other, seen := first[place{a.Service, a.Address}]; seen {
			c.errorf(path, "this is announcement %d already: remove one", other)
		} else if a.Service != "" && a.Address != "" {
			first[place{a.Service, a.Address}] = i + 1
		}
		c.tags(a.Tags, path+".tags")
		c.announcedCheck(a, path+".check")
	}
}

func (c *checker) gossipKeys(g *Gossip) {
	if c.failed("gossip.bind") || c.failed("gossip.key_file") {
		return
	}
	if g.KeyFile == "" {
		if bind, err := netip.ParseAddrPort(g.Bind); err == nil && !bind.Addr().IsLoopback() {
			c.errorf("gossip.key_file", "is missing: others can reach %s, so make a file with mqedge keygen and copy it to every host", g.Bind)
		}
		return
	}
	data, err := readRegular(g.KeyFile, maxValueFile)
	if err == nil {
		if err = checkGossipKeys(data); err != nil {
			err = fmt.Errorf("%s %w: %s", g.KeyFile, err, keysRemedy)
		}
	}
	if err != nil {
		c.errorf("gossip.key_file", "%v", err)
	}
}

// checkGossipKeys shows nothing of what a line holds.
func checkGossipKeys(data []byte) error {
	number, keys := 0, 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		keys++
		key, err := base64.StdEncoding.AppendDecode(nil, line)
		switch {
		case err != nil:
			return fmt.Errorf("line %d is not base64", number)
		case !slices.Contains([]int{16, 24, 32}, len(key)):
			return fmt.Errorf("line %d holds %d bytes instead of 32", number, len(key))
		case keys > mostGossipKeys:
			return fmt.Errorf("line %d is one key too many", number)
		}
	}
	if keys == 0 {
		return errors.New("holds no key")
	}
	return nil
}

func (c *checker) tags(tags map[string]string, path string) {
	if len(tags) > mostTags {
		c.errorf(path, "there are %d: at most %d", len(tags), mostTags)
	}
	for _, name := range sorted(tags) {
		if err := errors.Join(checkPrintable(name, 128), checkPrintable(tags[name], 256)); err != nil {
			c.errorf(namePath(path, name), "%v", err)
		}
	}
}

func (c *checker) announcedCheck(a Announcement, path string) {
	if a.Check.Type == "http" && a.Check.Port == 0 && a.SendProxy != "" && a.SendProxy != "off" {
		c.warnf(path+".type", "http sends no PROXY header: set port to one that answers without, or use mqtt or tcp")
	}
	if a.Check.Type == "none" && a.Check != DefaultAnnouncement().Check && !c.failed(path+".type") {
		c.warnf(path, "has no effect without type: write one, such as mqtt")
	}
}

// checkBindIP wants the address of this host that others are sent to, so a name, which can have several, is none.
func checkBindIP(text string) error {
	bind, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return fmt.Errorf("%s is not IP:port: write an address of this host, or 0.0.0.0:7946", shown(text))
	case bind.Addr().IsMulticast() || bind.Addr().Zone() != "":
		return fmt.Errorf("%s is not an address of a host: write one of this host, or 0.0.0.0:%d", shown(text), bind.Port())
	}
	return nil
}

func checkAdvertise(text string) error {
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	if !strings.Contains(text, ":") {
		return checkHost(text)
	}
	return checkAddress(text)
}

func checkAnnounced(text string) error {
	a, err := splitAddress(text)
	switch {
	case err != nil:
		return err
	case a.port == 0:
		return errors.New("port 0 cannot be connected to: write the port of the server")
	case a.host != "" && !a.ip.IsValid():
		return fmt.Errorf("%s has a name, which others cannot check: write an IP address, or :%d for the one that others reach this host at", shown(text), a.port)
	case a.ip.IsValid() && (a.ip.IsUnspecified() || a.ip.IsMulticast()):
		return fmt.Errorf("%s is nowhere to connect to: write :%d for the address that others reach this host at", shown(text), a.port)
	}
	if host, _, err := net.SplitHostPort(text); err == nil && strings.EqualFold(host, "localhost") {
		return fmt.Errorf("%s has a name, which others cannot check: write 127.0.0.1:%d", shown(text), a.port)
	}
	return nil
}

// checkEngine takes what DOCKER_HOST may hold, where no TLS is needed.
func checkEngine(text string) error {
	scheme, rest, has := strings.Cut(text, "://")
	switch {
	case !has && strings.HasPrefix(text, "/"), scheme == "unix" && strings.HasPrefix(rest, "/"):
		return nil
	case scheme == "tcp":
		if err := checkAddress(strings.TrimSuffix(rest, "/")); err != nil {
			return fmt.Errorf("%w, as in tcp://127.0.0.1:2375", err)
		}
		return nil
	case scheme == "https" || scheme == "ssh" || scheme == "http":
		return fmt.Errorf("%s:// is not spoken: run mqedge on the host of the containers and write its socket, or tcp://HOST:PORT of a proxy of it", scheme)
	}
	return fmt.Errorf("%s is not where an Engine listens: write the path of its socket such as /var/run/docker.sock, or tcp://HOST:PORT of a proxy of it", shown(text))
}

func checkAnnouncedIP(text string) error {
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return fmt.Errorf("%s is not an IP address: write the one that others reach the ports of the containers at", shown(text))
	case ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "":
		return fmt.Errorf("%s is nowhere to connect to: write the IP address that others reach the ports of the containers at", shown(text))
	}
	return nil
}

func checkResolver(text string) error {
	if addr, err := netip.ParseAddrPort(text); err != nil || addr.Port() == 0 {
		return fmt.Errorf("%s is not IP:port: write that of a DNS server, such as 127.0.0.1:53", shown(text))
	}
	return nil
}

func checkMember(text string) error {
	if err := checkPrintable(text, 64); err != nil {
		return err
	}
	if strings.ContainsAny(text, "~/") {
		return fmt.Errorf("%s holds ~ or /: remove it", shown(text))
	}
	return nil
}

func checkPrintable(text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("has %d bytes: at most %d", len(text), most)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%s holds what does not print: remove it", shown(text))
	}
	return nil
}
