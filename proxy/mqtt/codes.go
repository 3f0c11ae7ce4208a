package mqtt

import "fmt"

// Reason codes of CONNACK and DISCONNECT that an edge acts on or sends, by their
// names in MQTT 5.0 section 2.4. ServerShuttingDown and AdministrativeAction are
// for DISCONNECT only, ConnectionRateExceeded is for both.
const (
	ServerUnavailable      = 0x88
	ServerBusy             = 0x89
	ServerShuttingDown     = 0x8b
	QuotaExceeded          = 0x97
	AdministrativeAction   = 0x98
	UseAnotherServer       = 0x9c
	ServerMoved            = 0x9d
	ConnectionRateExceeded = 0x9f
)

// returnServerUnavailable is the only return code before 5.0 that is no fault of
// the client's (MQTT 3.1.1 section 3.2.2.3).
const returnServerUnavailable = 3

// Retryable reports whether another endpoint may accept the CONNECT that this
// one answered with code.
func Retryable(level, code byte) bool {
	if level != Level5 {
		return code == returnServerUnavailable
	}
	switch code {
	case ServerUnavailable, ServerBusy, QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return true
	}
	return false
}

// CodeName returns the specification's name of a CONNACK's or DISCONNECT's code,
// or its number where the specification has none.
func CodeName(level, code byte) string {
	name := ""
	switch {
	case level == Level5:
		name = reasonCodeName(code)
	case int(code) < len(returnCodeNames):
		name = returnCodeNames[code]
	}
	if name == "" {
		return fmt.Sprintf("code %#02x", code)
	}
	return name
}

// MQTT 3.1.1 section 3.2.2.3
var returnCodeNames = [...]string{
	"Connection accepted",
	"Unacceptable protocol version",
	"Identifier rejected",
	"Server unavailable",
	"Bad user name or password",
	"Not authorized",
}

// reasonCodeName has the names of MQTT 5.0 sections 3.2.2.2 and 3.14.2.1.
func reasonCodeName(code byte) string {
	switch code {
	case 0x00:
		return "Success"
	case 0x04:
		return "Disconnect with Will Message"
	case 0x80:
		return "Unspecified error"
	case 0x81:
		return "Malformed Packet"
	case 0x82:
		return "Protocol Error"
	case 0x83:
		return "Implementation specific error"
	case 0x84:
		return "Unsupported Protocol Version"
	case 0x85:
		return "Client Identifier not valid"
	case 0x86:
		return "Bad User Name or Password"
	case 0x87:
		return "Not authorized"
	case ServerUnavailable:
		return "Server unavailable"
	case ServerBusy:
		return "Server busy"
	case 0x8a:
		return "Banned"
	case ServerShuttingDown:
		return "Server shutting down"
	case 0x8c:
		return "Bad authentication method"
	case 0x8d:
		return "Keep Alive timeout"
	case 0x8e:
		return "Session taken over"
	case 0x8f:
		return "Topic Filter invalid"
	case 0x90:
		return "Topic Name invalid"
	case 0x93:
		return "Receive Maximum exceeded"
	case 0x94:
		return "Topic Alias invalid"
	case 0x95:
		return "Packet too large"
	case 0x96:
		return "Message rate too high"
	case QuotaExceeded:
		return "Quota exceeded"
	case AdministrativeAction:
		return "Administrative action"
	case 0x99:
		return "Payload format invalid"
	case 0x9a:
		return "Retain not supported"
	case 0x9b:
		return "QoS not supported"
	case UseAnotherServer:
		return "Use another server"
	case ServerMoved:
		return "Server moved"
	case 0x9e:
		return "Shared Subscriptions not supported"
	case ConnectionRateExceeded:
		return "Connection rate exceeded"
	case 0xa0:
		return "Maximum connect time"
	case 0xa1:
		return "Subscription Identifiers not supported"
	case 0xa2:
		return "Wildcard Subscriptions not supported"
	}
	return ""
}
