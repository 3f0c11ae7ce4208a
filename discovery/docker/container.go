package docker

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Container is a container with labels of ours.
type Container struct {
	ID   string
	Name string
	Run  string // tells one run of it from the next

	Stopping time.Time // when it was told to stop; zero is not

	OnHost bool // it has the host's network

	Offers   []Offer
	Reason   string   // why there are none
	Wrong    bool     // the reason is a mistake rather than a state
	Warnings []string // labels that mean nothing
}

// Offer is an endpoint that a container offers.
type Offer struct {
	Service   string
	Addr      string // IP:port; an empty host means the address that others reach this host at
	Weight    int    // 0 is not said
	SendProxy string // off, v1 or v2; "on" is any of the two; "" is not said
	Tags      map[string]string
	Check     Check
	Note      string // what people should know of the address; "" is nothing
}

// Check is how to find out whether an Offer works.
type Check struct {
	Type string // none, tcp, mqtt, http, emqx or grpc
	Addr string // where to ask, as Offer.Addr; "" is there
	Path string

	Interval, Timeout time.Duration // 0 is not said
	Rise, Fall        int           // likewise
}

// listed is an entry of /containers/json.
type listed struct {
	ID     string `json:"Id"`
	Labels map[string]string
}

// details are what /containers/ID/json says, as far as it is of use here.
type details struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status     string
		Running    bool
		Paused     bool
		Restarting bool
		StartedAt  string
		Health     *struct {
			Status string
			Log    []struct{ Output string }
		}
	}
	HostConfig struct{ NetworkMode string }
	Config     struct {
		Image      string
		Env        []string
		Cmd        []string
		Entrypoint []string
		WorkingDir string
		Labels     map[string]string
		StopSignal string
	}
	NetworkSettings struct {
		Ports    map[string][]mapping
		Networks map[string]attachment
	}
}

// mapping is a port of the host that leads to one of the container.
type mapping struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

// attachment is what a container has of a network.
type attachment struct {
	IPAddress         string
	GlobalIPv6Address string
}

const rtmin = 34 // the first real-time signal that a C library leaves to programs

func (d details) runs() bool { return d.State.Running && !d.State.Paused && !d.State.Restarting }

// joins is the container whose network this one uses.
func (d details) joins() (id string, ok bool) {
	return strings.CutPrefix(d.HostConfig.NetworkMode, "container:")
}

// signals are those that tell a process to end, whatever the image says.
var signals = map[string]string{"HUP": "1", "INT": "2", "QUIT": "3", "KILL": "9", "USR1": "10", "USR2": "12", "TERM": "15"}

// stops reports whether a signal tells the container to stop.
func (d details) stops(signal string) bool {
	number := func(s string) string {
		s = strings.TrimPrefix(strings.ToUpper(s), "SIG")
		if n, err := strconv.Atoi(strings.TrimPrefix(s, "RTMIN+")); err == nil && strings.HasPrefix(s, "RTMIN+") {
			return strconv.Itoa(rtmin + n)
		}
		return cmp.Or(signals[s], s)
	}
	switch s := number(signal); s {
	case "2", "3", "9", "15":
		return true
	default:
		return s != "" && s == number(d.Config.StopSignal)
	}
}

// away says why the container offers nothing whatever its labels say, or "".
func (d details) away() string {
	s := d.State
	switch {
	case s.Paused:
		return "it is paused"
	case s.Restarting:
		return "it is restarting"
	case !s.Running:
		return "it has stopped"
	case s.Health == nil:
		return ""
	case s.Health.Status == "starting":
		return "its health check has not succeeded yet"
	case s.Health.Status == "unhealthy":
		text := "it is unhealthy"
		if n := len(s.Health.Log); n > 0 {
			if output := clean(s.Health.Log[n-1].Output); output != "" {
				text += ": " + output
			}
		}
		return text
	}
	return ""
}

// containers makes of what is known what is told, by name.
func (a *Agent) containers() []Container {
	own := where{override: a.o.Host, own: a.o.Own()}
	out := make([]Container, 0, len(a.known))
	for id, k := range a.known {
		out = append(out, k.container(id, own))
	}
	slices.SortFunc(out, func(x, y Container) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.ID, y.ID))
	})
	return out
}

func (k *known) container(id string, own where) Container {
	d := k.details
	if k.before != nil {
		return k.asBefore()
	}
	c := Container{ID: id, Name: clean(strings.TrimPrefix(d.Name, "/")), Run: d.State.StartedAt, Stopping: k.stopping, OnHost: k.onHost()}
	if c.Name == "" {
		c.Name = id[:min(len(id), 12)]
	}
	switch {
	case k.failed != "" && d.Name == "":
		c.Reason = k.failed
		return c
	case k.away != "":
		c.Reason = k.away
	case !k.stopping.IsZero():
		c.Reason = "it was told to stop"
	default:
		c.Reason = d.away()
	}
	specs, warnings, err := parseLabels(d.Config.Labels)
	c.Warnings = warnings
	if err == nil && c.Reason == "" {
		c.Offers, err = k.offers(specs, own)
	}
	if err != nil {
		c.Offers, c.Reason, c.Wrong = nil, err.Error(), true
	}
	return c
}

// asBefore is what the agent before told, since the Engine has said nothing else yet but perhaps that it has gone.
func (k *known) asBefore() Container {
	c := *k.before
	switch {
	case k.away != "":
		c.Offers, c.Reason, c.Wrong = nil, k.away, false
	case !k.stopping.IsZero():
		c.Offers, c.Reason, c.Wrong, c.Stopping = nil, "it was told to stop", false, k.stopping
	}
	return c
}

// onHost reports whether it has the host's network, by itself or by another container.
func (k *known) onHost() bool {
	mode := k.details.HostConfig.NetworkMode
	if k.target != nil {
		mode = k.target.HostConfig.NetworkMode
	}
	return mode == "host"
}

// offers is where others find what the labels say.
func (k *known) offers(specs []spec, own where) ([]Offer, error) {
	var out []Offer
	for _, s := range specs {
		o, err := k.offer(s, own)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(p Offer) bool { return p.Service == o.Service && p.Addr == o.Addr }) {
			return nil, fmt.Errorf("label %s: %s at %s is there twice: remove one", s.label("service"), o.Service, o.Addr)
		}
		out = append(out, o)
	}
	return out, nil
}

func (k *known) offer(s spec, own where) (Offer, error) {
	server, err := k.details.server(s)
	if err != nil {
		return Offer{}, err
	}
	at, err := k.reach(server, s.network, own)
	if err != nil {
		return Offer{}, fmt.Errorf("%s: %w", s.label("service"), err)
	}
	o := Offer{
		Service: s.service, Addr: at.addr, Weight: s.weight, SendProxy: cmp.Or(s.sendProxy, server.sendProxy), Tags: s.tags, Check: s.check, Note: at.note,
	}
	if o.Check.Type == "" {
		o.Check.Type = server.check
	}
	port := s.checkPort
	if port == 0 && o.Check.Type == "emqx" {
		port = k.details.dashboard()
	}
	if port != 0 && o.Check.Type != "none" {
		there, err := k.reach(server.at(port), s.network, own)
		if err != nil {
			return Offer{}, fmt.Errorf("%s: %w", s.label("check"), err)
		}
		o.Check.Addr = there.addr
	}
	return o, nil
}

// summary is what makes a Container worth another line in the log.
func (c Container) summary() string {
	var b strings.Builder
	b.WriteString(c.Run + "|" + c.Reason)
	for _, o := range c.Offers {
		b.WriteString("|" + o.Service + " " + o.Addr)
	}
	return b.String()
}

// clean makes one short line of what others wrote.
func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > 160 {
		s = string(r[:160]) + "…"
	}
	return s
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", clean(text))
	}
	return int(n), nil
}
