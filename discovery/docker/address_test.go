package docker

import (
	"net/netip"
	"strings"
	"testing"
)

// container is one as the Engine describes it.
func container(mode string, ports map[string][]mapping, networks map[string]attachment) details {
	var d details
	d.HostConfig.NetworkMode = mode
	d.NetworkSettings.Ports, d.NetworkSettings.Networks = ports, networks
	return d
}

func TestTheAddressIsWhereOthersReachTheContainer(t *testing.T) {
	bridge := map[string]attachment{"bridge": {IPAddress: "172.17.0.2"}}
	two := map[string]attachment{"b": {IPAddress: "172.18.0.2", GlobalIPv6Address: "fd00::2"}, "a": {IPAddress: "172.19.0.2"}}
	on := func(m ...mapping) map[string][]mapping { return map[string][]mapping{"1883/tcp": m} }
	four, six := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")
	own4, own6 := where{own: four}, where{own: six}
	host := container("host", nil, nil)
	bound := func(ip string) server { return server{port: 1883, ip: netip.MustParseAddr(ip), from: "VARIABLE"} }
	plain := server{port: 1883}
	for name, c := range map[string]struct {
		k       known
		s       server
		network string
		own     where
		addr    string
		note    string
		err     string
	}{
		"the host's network":                     {known{details: host}, plain, "", own4, ":1883", "", ""},
		"the host's network and a host":          {known{details: host}, plain, "", where{override: six, own: four}, "[2001:db8::5]:1883", "", ""},
		"the host's network on one address":      {known{details: host}, bound("10.0.0.6"), "", own4, "10.0.0.6:1883", "", ""},
		"the host's network on every address":    {known{details: host}, bound("0.0.0.0"), "", own4, ":1883", "", ""},
		"the host's network on loopback":         {known{details: host}, bound("127.0.0.1"), "", own4, "127.0.0.1:1883", noteLoopback, ""},
		"published":                              {known{details: container("bridge", on(mapping{"0.0.0.0", "32768"}, mapping{"::", "32769"}), bridge)}, plain, "", own4, ":32768", "", ""},
		"published, reached over IPv6":           {known{details: container("bridge", on(mapping{"0.0.0.0", "32768"}, mapping{"::", "32769"}), bridge)}, plain, "", own6, ":32769", "", ""},
		"published, before the host is known":    {known{details: container("default", on(mapping{"::", "32769"}), bridge)}, plain, "", where{}, ":32769", "", ""},
		"published by Podman":                    {known{details: container("slirp4netns", on(mapping{"", "32768"}), nil)}, plain, "", own4, ":32768", "", ""},
		"published with a host":                  {known{details: container("bridge", on(mapping{"0.0.0.0", "1"}), bridge)}, plain, "", where{override: netip.MustParseAddr("10.9.9.9"), own: six}, "10.9.9.9:1", "", ""},
		"published for the other family":         {known{details: container("bridge", on(mapping{"0.0.0.0", "1"}), bridge)}, plain, "", own6, "", "", "port 1883 is not published for the family of 2001:db8::5"},
		"published at one address":               {known{details: container("bridge", on(mapping{"10.0.0.6", "1"}), bridge)}, plain, "", own4, "10.0.0.6:1", "", ""},
		"published at one address and loopback":  {known{details: container("bridge", on(mapping{"127.0.0.1", "1"}, mapping{"10.0.0.6", "2"}), bridge)}, plain, "", own4, "10.0.0.6:2", "", ""},
		"published on loopback":                  {known{details: container("bridge", on(mapping{"127.0.0.1", "1"}), bridge)}, plain, "", own4, "127.0.0.1:1", noteLoopback, ""},
		"published twice":                        {known{details: container("bridge", on(mapping{"0.0.0.0", "20"}, mapping{"0.0.0.0", "3"}), bridge)}, plain, "", own4, ":3", "", ""},
		"published, no port yet":                 {known{details: container("bridge", on(mapping{"0.0.0.0", ""}), bridge)}, plain, "", own4, "172.17.0.2:1883", "port 1883 is not published", ""},
		"not published":                          {known{details: container("bridge", on(), bridge)}, plain, "", own4, "172.17.0.2:1883", "its network bridge", ""},
		"on two networks":                        {known{details: container("a", nil, two)}, plain, "", own4, "172.19.0.2:1883", "its network a", ""},
		"on a network that was named":            {known{details: container("a", on(mapping{"0.0.0.0", "1"}), two)}, plain, "b", own4, "172.18.0.2:1883", "", ""},
		"on a network of the right family":       {known{details: container("a", nil, two)}, plain, "b", own6, "[fd00::2]:1883", "", ""},
		"not on a network that was named":        {known{details: container("a", nil, two)}, plain, "c", own4, "", "", "it is not on the network c: it is on a, b"},
		"on none that was named":                 {known{details: container("a", nil, nil)}, plain, "c", own4, "", "", "it is on none"},
		"no network":                             {known{details: container("none", nil, map[string]attachment{"none": {}})}, plain, "", own4, "", "", "it has no network"},
		"no address":                             {known{details: container("bridge", nil, map[string]attachment{"bridge": {}})}, plain, "", own4, "", "", "publish port 1883, or give it the host's network"},
		"loopback of its own":                    {known{details: container("bridge", on(mapping{"0.0.0.0", "1"}), bridge)}, bound("127.0.0.1"), "", own4, "", "", "VARIABLE makes it listen on 127.0.0.1, which is inside the container: write 0.0.0.0:1883 there"},
		"the network of one that has the host's": {known{details: container("container:x", nil, nil), target: &host}, plain, "", own4, ":1883", "", ""},
		"the network of one that is not there":   {known{details: container("container:x", nil, nil)}, plain, "", own4, "", "", "the container whose network it uses is not there"},
	} {
		p, err := c.k.reach(c.s, c.network, c.own)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
			continue
		}
		if err != nil || p.addr != c.addr || (p.note == "") != (c.note == "") || !strings.Contains(p.note, c.note) {
			t.Errorf("%s: %+v, %v, want %s %s", name, p, err, c.addr, c.note)
		}
	}
}

func TestACheckAsksWhereItsOwnPortIs(t *testing.T) {
	d := emqx("emqx/emqx:5.8.9", "EMQX_DASHBOARD__LISTENERS__HTTP__BIND=28083")
	d.HostConfig.NetworkMode = "bridge"
	d.NetworkSettings.Ports = map[string][]mapping{"1883/tcp": {{"0.0.0.0", "21883"}}, "28083/tcp": {{"127.0.0.1", "38083"}}}
	k := known{details: d}
	for check, want := range map[string]string{"emqx": "127.0.0.1:38083", "mqtt": "", "http:28083/status": "127.0.0.1:38083", "none": ""} {
		specs, _, err := parseLabels(map[string]string{"mqedge.service": "emqx", "mqedge.check": check})
		if err != nil {
			t.Fatal(err)
		}
		o, err := k.offer(specs[0], where{})
		if err != nil || o.Check.Addr != want || o.Addr != ":21883" {
			t.Errorf("%s: %+v, %v, want %s", check, o, err, want)
		}
	}
}

func FuzzPublishedPort(f *testing.F) {
	f.Add("0.0.0.0", "32768", "10.0.0.5")
	f.Add("fe80::1%eth0", "1", "2001:db8::1")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, ip, port, own string) {
		host, _ := netip.ParseAddr(own)
		d := container("bridge", map[string][]mapping{"1883/tcp": {{ip, port}}}, map[string]attachment{"x": {IPAddress: ip, GlobalIPv6Address: own}})
		p, err := (&known{details: d}).reach(server{port: 1883}, "", where{own: host})
		if err != nil {
			return
		}
		if rest, own := strings.CutPrefix(p.addr, ":"); own {
			if _, err := parsePort(rest); err != nil {
				t.Errorf("%q", p.addr)
			}
		} else if _, err := netip.ParseAddrPort(p.addr); err != nil {
			t.Errorf("%q: %v", p.addr, err)
		}
	})
}
