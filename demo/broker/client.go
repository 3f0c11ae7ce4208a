package broker

import "net/netip"

// Client is what the broker knows of one connected MQTT client.
type Client struct {
	ID string
	// Addr is whom the broker takes for the client: the source in the PROXY header, or the TCP peer when there was no
	// header or one without addresses.
	Addr netip.AddrPort

	ProxyVersion     int            // 1 or 2; 0 without a header
	ProxySource      netip.AddrPort // invalid when the header carried no addresses
	ProxyDestination netip.AddrPort // likewise
	TLVs             TLVs

	Username        string
	CleanSession    bool
	ProtocolVersion byte   // 3, 4 (MQTT 3.1.1) or 5
	Keepalive       uint16 // seconds, as the client asked
}

// TLVs are the extensions of a PROXY v2 header that an MQTT broker has a use for. Absent ones are empty.
type TLVs struct {
	Authority  string // the server name the client asked for (SNI)
	ALPN       string
	SSL        bool // the client spoke TLS to the proxy; the fields below are set only then
	SSLVersion string
	SSLCipher  string
	CN         string // common name of the client's certificate
	Verify     uint32 // 0 when the client sent a certificate and it was verified
}

// EventKind says what happened to a connection.
type EventKind int

const (
	Connected    EventKind = iota // a CONNECT was accepted; CONNACK is about to be sent
	Disconnected                  // a connected client is gone, for Err, or by its own DISCONNECT when Err is nil
	Refused                       // a connection ended before a CONNECT was accepted; only Client.Addr and the PROXY fields are set
)

func (k EventKind) String() string {
	switch k {
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	default:
		return "refused"
	}
}

// Event is one change in the life of a connection.
type Event struct {
	Kind   EventKind
	Client Client
	Err    error
}

// Message is what a client published. The payload is not to be changed.
type Message struct {
	ClientID string // who published it; Publish ignores it
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
}
