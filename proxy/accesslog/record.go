package accesslog

import (
	"net/netip"
	"time"
)

// Record is what is known of a connection when it ends. Zero values mean "not known" and are left out of the line,
// except for Status, the byte counts, the times and, where MQTTVersion says that there was a CONNECT, MQTTKeepalive.
type Record struct {
	// RemoteAddr is the peer of the TCP connection, which behind a load balancer is the load balancer.
	RemoteAddr netip.AddrPort
	// ProxyProtocolAddr is the client that a PROXY header from RemoteAddr named.
	ProxyProtocolAddr netip.Addr

	Time        time.Time // of the end; printed in its own time zone
	SessionTime time.Duration
	Listener    string

	// Status follows nginx: 200 served, 400 the client's bytes made no sense, 403 not allowed, 500 a fault of our
	// own, 502 no endpoint could be reached, 503 over a limit.
	Status int
	Reason string // why the connection ended

	BytesSent     uint64 // to the client
	BytesReceived uint64 // from the client

	Attempts              []Attempt // in the order tried
	UpstreamBytesSent     uint64    // to the endpoint that served
	UpstreamBytesReceived uint64    // from the endpoint that served

	TLSProtocol string // as nginx names it: TLSv1.3
	TLSCipher   string
	ServerName  string // SNI
	ClientCN    string // common name of the client's certificate

	MQTTClientID  string
	MQTTUsername  string
	MQTTVersion   string // 3.1, 3.1.1 or 5
	MQTTKeepalive uint16 // seconds
	ConnackCode   int    // reason code of the CONNACK; -1 = none was seen
}

// Attempt is one endpoint tried for a connection.
type Attempt struct {
	Addr        string
	ConnectTime time.Duration
	Failed      bool // it did not serve the connection; printed "-" for the connect time
}
