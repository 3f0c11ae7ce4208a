package configs

import (
	"net/netip"
	"time"
)

// DNS makes endpoints of what a name resolves to.
type DNS struct {
	Name     string        `yaml:"name" kind:"host"`         // "": none
	Port     int           `yaml:"port" min:"0" max:"65535"` // of the endpoints; required with a
	Type     string        `yaml:"type" one_of:"a srv"`
	Interval time.Duration `yaml:"interval" min:"1s"`
	Resolver string        `yaml:"resolver" kind:"resolver"` // "": the system's
}

// Gossip makes this process a member of a cluster of edges and agents.
type Gossip struct {
	Name      string         `yaml:"name" kind:"member"` // "": the host name
	Bind      string         `yaml:"bind" kind:"bind_ip"`
	Advertise string         `yaml:"advertise" kind:"advertise"` // "": bind, or the address on the way to the others
	Join      []string       `yaml:"join" kind:"address"`
	KeyFile   string         `yaml:"key_file" kind:"file"` // "": none, on loopback
	Label     string         `yaml:"label"`
	Allow     []netip.Prefix `yaml:"allow"`                                // empty: all
	StateFile string         `yaml:"state_file" kind:"file"`               // "": none
	Share     []string       `yaml:"share" one_of:"drains health tickets"` // what edges share beside endpoints
	Announce  []Announcement `yaml:"announce"`
	Docker    *Docker        `yaml:"docker"` // nil: containers are not looked at
}

// Announcement is an endpoint that this host offers to others.
type Announcement struct {
	Service   string            `yaml:"service" kind:"service" required:"write the name that edges have at upstreams.NAME.gossip"`
	Address   string            `yaml:"address" kind:"announced" required:"write :PORT, or IP:PORT"`
	Weight    int               `yaml:"weight" min:"1" max:"65535"`
	Tags      map[string]string `yaml:"tags"`
	SendProxy string            `yaml:"send_proxy" one_of:"- off v1 v2"` // "": not said
	Check     Active            `yaml:"check"`
}

// Docker makes announcements of the labels of containers.
type Docker struct {
	Socket string `yaml:"socket" kind:"engine"`
	Host   string `yaml:"host" kind:"ip"` // "": the address that others reach this host at
}

// DefaultDNS returns a dns section without its name.
func DefaultDNS() DNS {
	return DNS{Type: "a", Interval: 10 * time.Second}
}

// DefaultGossip returns a gossip section in which nothing is written.
func DefaultGossip() Gossip {
	return Gossip{Bind: "0.0.0.0:7946", Label: "mqedge", Share: []string{"drains", "health", "tickets"}}
}

// DefaultDocker returns a docker section in which nothing is written.
func DefaultDocker() Docker {
	return Docker{Socket: "/var/run/docker.sock"}
}

// DefaultAnnouncement returns an announcement without service and address.
func DefaultAnnouncement() Announcement {
	return Announcement{Weight: 1, Check: DefaultUpstream().Health.Active}
}
