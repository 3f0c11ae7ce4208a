package configs

import (
	"net/netip"
	"time"
)

// The tags of a field say what the format wants of a key:
//
//	yaml      its name
//	one_of    the words it may be; "-" stands for the empty one
//	min, max  the least and the greatest value, written as in a file
//	kind      what a text stands for, see (*decoder).text; "size" for a number of bytes, "secret" for what no message shows
//	single    a list may be written as its only item
//	required  it must be there and not be empty; the text is the remedy

// Config is a whole configuration with every default filled in. Paths in it are absolute.
type Config struct {
	Log       Log                  `yaml:"log"`
	AccessLog AccessLog            `yaml:"access_log"`
	Admin     Admin                `yaml:"admin"`
	Drain     Drain                `yaml:"drain"`
	Listeners map[string]*Listener `yaml:"listeners"`
	Upstreams map[string]*Upstream `yaml:"upstreams"`
	Gossip    *Gossip              `yaml:"gossip"` // nil: none

	// Dir is the folder of the file, which relative paths in it start from.
	Dir string `yaml:"-"`
}

// Log is about the program's own messages.
type Log struct {
	Level  string `yaml:"level" one_of:"debug info warn error"`
	Format string `yaml:"format" one_of:"text json"`
}

// AccessLog is about the one line written for each connection.
type AccessLog struct {
	Path   string `yaml:"path" kind:"log"` // "-" is stdout, "" is none
	Format string `yaml:"format" kind:"format"`
}

// Admin is the HTTP address for people and monitoring.
type Admin struct {
	Bind      string `yaml:"bind" kind:"bind"` // "" turns it off
	TokenFile string `yaml:"token_file" kind:"file"`
}

// Drain is how the process takes leave of its connections.
type Drain struct {
	Delay    time.Duration `yaml:"delay"`
	Over     time.Duration `yaml:"over"`
	Deadline time.Duration `yaml:"deadline"`
}

// Listener is one place where clients connect.
type Listener struct {
	Bind                []string       `yaml:"bind" kind:"bind" single:"yes" required:"write an address such as 0.0.0.0:8884"`
	Protocol            string         `yaml:"protocol" one_of:"mqtt mqtt_ws tcp grpc"`
	Upstream            string         `yaml:"upstream" required:"write the name of one of the upstreams"`
	TLS                 *TLS           `yaml:"tls"`            // nil: plain TCP
	ProxyProtocol       *ProxyProtocol `yaml:"proxy_protocol"` // nil: no header is expected or honoured
	HandshakeTimeout    time.Duration  `yaml:"handshake_timeout" min:"1ms"`
	IdleTimeout         time.Duration  `yaml:"idle_timeout" min:"1ms"`
	Allow               []netip.Prefix `yaml:"allow"`
	Deny                []netip.Prefix `yaml:"deny"`
	MaxConnections      int            `yaml:"max_connections" min:"0"`
	MaxConnectionsPerIP int            `yaml:"max_connections_per_ip" min:"0"`
	TCP                 TCP            `yaml:"tcp"`
	MaxHalfOpen         int            `yaml:"max_half_open" min:"0"`
	ConnectRate         Rate           `yaml:"connect_rate"`
	MQTT                MQTT           `yaml:"mqtt"`
}

// TCP is how the kernel finds a peer that is gone without a word.
type TCP struct {
	KeepAlive   time.Duration `yaml:"keepalive" max:"9h"`     // 0: no probes
	UserTimeout time.Duration `yaml:"user_timeout" max:"24h"` // 0: the kernel's own patience
}

// TLS is what a listener shows its clients and asks of them.
type TLS struct {
	Certificates   []Certificate `yaml:"certificates" required:"write at least one {cert_file: …, key_file: …}"`
	MinVersion     string        `yaml:"min_version" one_of:"1.0 1.1 1.2 1.3"`
	MaxVersion     string        `yaml:"max_version" one_of:"- 1.0 1.1 1.2 1.3"` // "": the newest there is
	CipherSuites   []string      `yaml:"cipher_suites" kind:"suite"`
	ClientAuth     string        `yaml:"client_auth" one_of:"none request require"`
	ClientCAFile   string        `yaml:"client_ca_file" kind:"file"`
	ClientCRLFile  string        `yaml:"client_crl_file" kind:"file"`
	ALPN           []string      `yaml:"alpn" kind:"alpn"`
	TicketKeysFile string        `yaml:"ticket_keys_file" kind:"file"` // "": keys in memory; made when it is not there
	FullHandshakes Rate          `yaml:"full_handshakes"`
}

// Rate is how many may come in, and what becomes of the others. They are refused when the queue is full or they have
// waited for too long.
type Rate struct {
	PerSecond int           `yaml:"per_second" min:"0" max:"1000000"` // 0: no limit
	Burst     int           `yaml:"burst" min:"0" max:"1000000"`      // 0: as many as in a second
	Queue     int           `yaml:"queue" min:"0" max:"1000000"`      // 0: nobody waits
	Wait      time.Duration `yaml:"wait"`                             // 0: as long as it takes
}

// Certificate is a chain and its key, in PEM files.
type Certificate struct {
	CertFile string `yaml:"cert_file" kind:"file" required:"write the path of a PEM file with the certificate and its chain"`
	KeyFile  string `yaml:"key_file" kind:"file" required:"write the path of the PEM file with its private key"`
}

// ProxyProtocol makes a listener expect a PROXY header from trusted peers.
type ProxyProtocol struct {
	Trust   []netip.Prefix `yaml:"trust" required:"with nobody to trust no header would be believed: write the load balancer's addresses"`
	Timeout time.Duration  `yaml:"timeout" min:"1ms"`
}

// MQTT bounds the CONNECT packet of a client.
type MQTT struct {
	ConnectTimeout time.Duration `yaml:"connect_timeout" min:"1ms"`
	MaxConnectSize int64         `yaml:"max_connect_size" kind:"size" min:"128" max:"16MiB"`
	Retry          bool          `yaml:"retry"` // another endpoint is tried after one that has seen CONNECT
}

// Upstream is a set of endpoints that serve the same thing.
type Upstream struct {
	Balance         string        `yaml:"balance" one_of:"round_robin least_conn random_two hash"`
	HashKey         string        `yaml:"hash_key" one_of:"client_id username source_ip sni"` // what hash keeps together
	HashMetadata    string        `yaml:"hash_metadata" kind:"metadata"`                      // "": none; for calls without exhook
	SendProxy       string        `yaml:"send_proxy" one_of:"off v1 v2"`
	TLS             *UpstreamTLS  `yaml:"tls"` // nil: plain TCP to the endpoints
	ConnectTimeout  time.Duration `yaml:"connect_timeout" min:"1ms"`
	Tries           int           `yaml:"tries" min:"0"`
	TCP             TCP           `yaml:"tcp"`
	SourceAddresses []string      `yaml:"source_addresses" kind:"source"` // empty: the kernel chooses
	SlowStart       SlowStart     `yaml:"slow_start"`
	Rebalance       Rebalance     `yaml:"rebalance"`
	Endpoints       []Endpoint    `yaml:"endpoints"`
	Gossip          string        `yaml:"gossip" kind:"service"` // the service whose endpoints are used too; "": none
	DNS             *DNS          `yaml:"dns"`                   // nil: none
	Health          Health        `yaml:"health"`
	ExHook          *ExHook       `yaml:"exhook"` // nil: the calls are those of any gRPC service
}

// UpstreamTLS is how endpoints are verified, and what is shown to them.
type UpstreamTLS struct {
	CAFile     string `yaml:"ca_file" kind:"file"` // "": the system's roots
	CertFile   string `yaml:"cert_file" kind:"file"`
	KeyFile    string `yaml:"key_file" kind:"file"`
	ServerName string `yaml:"server_name" kind:"host"` // "": the host of the endpoint's address
}

// SlowStart spares an endpoint that has just appeared or come back.
type SlowStart struct {
	ConnectsPerSecond int           `yaml:"connects_per_second" min:"0" max:"1000000"` // 0: no slow start
	For               time.Duration `yaml:"for"`
}

// Rebalance parts with clients of endpoints that have more than their share.
type Rebalance struct {
	DisconnectsPerSecond int `yaml:"disconnects_per_second" min:"0" max:"1000000"` // 0: none
	ThresholdPercent     int `yaml:"threshold_percent" min:"1" max:"1000"`         // above the fair share
}

// Endpoint is one server.
type Endpoint struct {
	Address        string `yaml:"address" kind:"address" required:"write host:port"`
	Weight         int    `yaml:"weight" min:"1" max:"65535"`
	MaxConnections int    `yaml:"max_connections" min:"0"`
	Backup         bool   `yaml:"backup"`
}

// Health is how an upstream learns which endpoints work.
type Health struct {
	Active  Active  `yaml:"active"`
	Passive Passive `yaml:"passive"`
}

// Active asks the endpoints how they are.
type Active struct {
	Type     string        `yaml:"type" one_of:"none tcp mqtt http emqx grpc"`
	Interval time.Duration `yaml:"interval" min:"100ms"`
	Timeout  time.Duration `yaml:"timeout" min:"100ms"`
	Rise     int           `yaml:"rise" min:"1"`
	Fall     int           `yaml:"fall" min:"1"`
	Port     int           `yaml:"port" min:"0" max:"65535"` // 0: the endpoint's, or with emqx that of the dashboard
	Path     string        `yaml:"path" kind:"path"`         // of http and emqx
	Username string        `yaml:"username"`                 // of mqtt
	Password string        `yaml:"password" kind:"secret"`   // likewise
}

// Passive judges endpoints by the connections clients make anyway.
type Passive struct {
	MaxFails    int           `yaml:"max_fails" min:"0"`
	FailTimeout time.Duration `yaml:"fail_timeout" min:"1ms"`
}
