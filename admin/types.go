package admin

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Listener is one entry of /api/v1/listeners.
type Listener struct {
	Name      string            `json:"name"`
	Addresses []string          `json:"addresses"` // as bound: port 0 is resolved
	Protocol  string            `json:"protocol"`
	TLS       bool              `json:"tls"`
	Upstream  string            `json:"upstream"`
	Active    int64             `json:"active"`
	HalfOpen  int64             `json:"half_open"` // of those, not served by an endpoint yet
	Waiting   int64             `json:"waiting"`   // of those, for their turn by connect_rate or tls.full_handshakes
	Accepted  uint64            `json:"accepted_total"`
	Refused   map[string]uint64 `json:"refused"` // by reason
	Closed    map[string]uint64 `json:"closed"`  // by reason
	BytesIn   uint64            `json:"bytes_in"`
	BytesOut  uint64            `json:"bytes_out"`

	// Messages are PUBLISH packets, of protocols of MQTT.
	MessagesIn  uint64 `json:"messages_in"`  // from clients
	MessagesOut uint64 `json:"messages_out"` // to clients

	// LastRefusal is the latest refusal of a client that did not merely go away, in words.
	LastRefusal string `json:"last_refusal"`
}

// Upstream is one entry of /api/v1/upstreams.
type Upstream struct {
	Name      string     `json:"name"`
	Protocol  string     `json:"protocol"`
	Endpoints []Endpoint `json:"endpoints"`
	ExHook    *ExHook    `json:"exhook,omitempty"` // of an upstream that knows hooks
}

// ExHook is what an upstream knows of EMQX's side.
type ExHook struct {
	Nodes        []Node  `json:"nodes"`         // that call
	Hooks        []Hook  `json:"hooks"`         // that were called, or that providers registered
	Drift        []Drift `json:"drift"`         // where EMQX was told of other hooks than providers register now
	Waiting      int     `json:"waiting"`       // calls that wait for a provider
	EarlyWaiting int     `json:"early_waiting"` // notifications that are answered and not delivered yet
}

// Hook is what is known of the calls of one hook.
type Hook struct {
	Name         string  `json:"name"`          // as in EMQX 5
	Providers    int     `json:"providers"`     // that registered it
	Calls        uint64  `json:"calls"`         //
	Errors       uint64  `json:"errors"`        // calls that ended with another status than OK
	Seconds      float64 `json:"seconds"`       // that all of them took together
	Fallbacks    uint64  `json:"fallbacks"`     // calls that no provider answered in time
	EarlyQueued  uint64  `json:"early_queued"`  // notifications answered before their delivery
	EarlyDropped uint64  `json:"early_dropped"` // of those, never delivered
}

// Node is an EMQX node.
type Node struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Cluster  string `json:"cluster"`
	Protocol string `json:"protocol"` // the package of its calls
	Calls    uint64 `json:"calls"`
}

// Drift is how the hooks that a node knows of differ from those that providers register.
type Drift struct {
	Node     string   `json:"node"`
	Unknown  []string `json:"unknown"`  // EMQX does not call them
	Unserved []string `json:"unserved"` // no provider wants them
}

// Provider is what an upstream of gRPC calls knows of an endpoint.
type Provider struct {
	Connected bool     `json:"connected"`
	Loaded    bool     `json:"loaded"` // it has answered OnProviderLoaded of all nodes
	Nodes     []string `json:"nodes"`  // whose OnProviderLoaded it has answered
	Hooks     []string `json:"hooks"`  // that it registered
	InFlight  int      `json:"in_flight"`
	Calls     uint64   `json:"calls"`
	Failures  uint64   `json:"failures"`
	Seconds   float64  `json:"seconds"` // what its answers take
}

// Endpoint is one address of an Upstream.
type Endpoint struct {
	Address     string `json:"address"`
	Weight      uint32 `json:"weight"`
	Source      string `json:"source"`              // what it was learned from: static, dns, gossip, ...
	Container   string `json:"container,omitempty"` // that it is announced to be in
	Up          bool   `json:"up"`
	Draining    bool   `json:"draining"`
	Ejected     bool   `json:"ejected"`
	Reason      string `json:"reason"` // why it is not up, is draining or is ejected
	Connections int64  `json:"connections"`
	Connects    uint64 `json:"connects_total"`
	Failures    uint64 `json:"failures_total"`

	ConnectSeconds float64 `json:"connect_seconds,omitempty"` // how long the latest connect took; absent before the first
	AnswerSeconds  float64 `json:"answer_seconds,omitempty"`  // the median from CONNECT to CONNACK; absent while too few are known

	Provider *Provider `json:"provider,omitempty"` // of gRPC calls
}

// Certificate is one entry of /api/v1/certificates.
type Certificate struct {
	File      string    `json:"file"`
	Listeners []string  `json:"listeners"`
	Names     []string  `json:"names"` // DNS names and IP addresses it is for
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Error     string    `json:"error"` // why a newer file was not taken; the rest describes what is in use
}

// Drain says how an endpoint is drained. The zero value moves its clients away over the time of the configuration.
type Drain struct {
	Over *time.Duration // nil means drain.over of the configuration
	Keep bool           // clients stay

	Local bool // on this edge alone, not on all that share drains by gossip
}

// Connection is one entry of /api/v1/connections.
type Connection struct {
	ID          uint64    `json:"id"`
	Listener    string    `json:"listener"`
	Client      string    `json:"client"` // the real client, from a PROXY header where one was trusted
	Peer        string    `json:"peer"`   // the peer of the TCP connection
	ClientID    string    `json:"client_id"`
	Username    string    `json:"username"`
	MQTTVersion string    `json:"mqtt_version"`
	Keepalive   uint16    `json:"keepalive"` // seconds
	ServerName  string    `json:"server_name"`
	Upstream    string    `json:"upstream"` // "" before there is an endpoint
	Endpoint    string    `json:"endpoint"`
	Since       time.Time `json:"since"`
	BytesIn     uint64    `json:"bytes_in"`
	BytesOut    uint64    `json:"bytes_out"`
}

// Version is the answer of /api/v1/version.
type Version struct {
	Version string    `json:"version"`
	Commit  string    `json:"commit"` // "" when the build recorded none
	Go      string    `json:"go"`
	Started time.Time `json:"started"` // when this process did
}

// ConnectionFilter selects connections; a field that is empty matches all of them.
type ConnectionFilter struct {
	ClientID string
	Listener string
	Upstream string
	Endpoint string
	Limit    int // of those that are shown; a client may leave it to the server by 0
}

// ConnectionList is some of the connections that were asked for.
type ConnectionList struct {
	Total       int          `json:"total"` // that match
	Connections []Connection `json:"connections"`
}

// The API promises lists and objects where there is nothing in them, never null.

// MarshalJSON implements json.Marshaler.
func (l Listener) MarshalJSON() ([]byte, error) {
	type plain Listener
	l.Addresses = orEmpty(l.Addresses)
	if l.Refused == nil {
		l.Refused = map[string]uint64{}
	}
	if l.Closed == nil {
		l.Closed = map[string]uint64{}
	}
	return json.Marshal(plain(l))
}

// MarshalJSON implements json.Marshaler.
func (u Upstream) MarshalJSON() ([]byte, error) {
	type plain Upstream
	u.Endpoints = orEmpty(u.Endpoints)
	return json.Marshal(plain(u))
}

// MarshalJSON implements json.Marshaler.
func (x ExHook) MarshalJSON() ([]byte, error) {
	type plain ExHook
	x.Nodes, x.Hooks, x.Drift = orEmpty(x.Nodes), orEmpty(x.Hooks), orEmpty(x.Drift)
	return json.Marshal(plain(x))
}

// MarshalJSON implements json.Marshaler.
func (d Drift) MarshalJSON() ([]byte, error) {
	type plain Drift
	d.Unknown, d.Unserved = orEmpty(d.Unknown), orEmpty(d.Unserved)
	return json.Marshal(plain(d))
}

// MarshalJSON implements json.Marshaler.
func (v Provider) MarshalJSON() ([]byte, error) {
	type plain Provider
	v.Nodes, v.Hooks = orEmpty(v.Nodes), orEmpty(v.Hooks)
	return json.Marshal(plain(v))
}

// MarshalJSON implements json.Marshaler.
func (c Certificate) MarshalJSON() ([]byte, error) {
	type plain Certificate
	c.Listeners, c.Names = orEmpty(c.Listeners), orEmpty(c.Names)
	return json.Marshal(plain(c))
}

// MarshalJSON implements json.Marshaler. A client id is any bytes, and JSON is UTF-8: for one that is not, client_id
// is an approximation and client_id_base64 has the bytes.
func (c Connection) MarshalJSON() ([]byte, error) {
	out := rawConnection{plainConnection: plainConnection(c)}
	if !utf8.ValidString(c.ClientID) {
		out.ClientIDBase64 = []byte(c.ClientID)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Connection) UnmarshalJSON(b []byte) error {
	var in rawConnection
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*c = Connection(in.plainConnection)
	if in.ClientIDBase64 != nil {
		c.ClientID = string(in.ClientIDBase64)
	}
	return nil
}

type (
	plainConnection Connection
	rawConnection   struct {
		plainConnection
		ClientIDBase64 []byte `json:"client_id_base64,omitempty"`
	}
)

// MarshalJSON implements json.Marshaler.
func (l ConnectionList) MarshalJSON() ([]byte, error) {
	type plain ConnectionList
	l.Connections = orEmpty(l.Connections)
	return json.Marshal(plain(l))
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
