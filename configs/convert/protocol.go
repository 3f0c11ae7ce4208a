package convert

import (
	"slices"
	"strings"
	"unicode"
)

// Stream is what is known of the bytes that a listener passes on.
type Stream struct {
	Said          string   // the protocol that is said for all, "" for none
	Front, Behind []int    // the ports that clients connect to, and those of the endpoints
	Names         []string // of upstreams and hosts
	TLS           bool     // it ends at the listener
	TLSBehind     bool     // it is spoken to the endpoints
	Passed        bool     // TLS is looked into, and passed on
	MQTT          bool     // there are directives about MQTT
}

// TLSPassed says why a listener with TLS that does not end at it has protocol tcp.
const TLSPassed = "TLS is passed on as it is"

// Protocol decides what a listener speaks, and says why where an operator should look at it. A proxy passes on bytes and
// does not tell, so this is a guess; it errs towards tcp, which always does what the other program did. In this order:
//
//  1. TLS that does not end here can only be passed on: tcp, and why is TLSPassed.
//  2. Directives for MQTT: mqtt.
//  3. Names with the word ws, wss or websocket in them: mqtt_ws.
//  4. The ports of the servers behind, which all speak what these ports stand for: mqtt or mqtt_ws.
//  5. The ports that clients connect to: likewise.
//  6. Names with mqtt, emqx or the like in them, if no port is that of something else, such as a database or HTTPS: mqtt.
//  7. tcp.
func (s Stream) Protocol() (protocol, why string) {
	endsHere := s.TLS || len(s.Behind) > 0 && all(s.Behind, plainMQTT, plainWebSocket)
	passed := all(s.Behind, secure) && !s.TLSBehind || !endsHere && slices.ContainsFunc(s.Front, secure)
	if !s.TLS && (passed || s.Passed) {
		return "tcp", TLSPassed
	}
	if s.Said != "" {
		return s.Said, ""
	}
	switch {
	case s.MQTT:
		return "mqtt", ""
	case slices.ContainsFunc(s.Names, namesWebSocket):
		return "mqtt_ws", ""
	case all(s.Behind, mqttPort):
		return "mqtt", ""
	case all(s.Behind, webSocketPort):
		return "mqtt_ws", ""
	case all(s.Front, mqttPort):
		return "mqtt", ""
	case all(s.Front, webSocketPort):
		return "mqtt_ws", ""
	case slices.ContainsFunc(s.Behind, otherPort) || slices.ContainsFunc(s.Front, otherPort):
		return "tcp", ""
	case slices.ContainsFunc(s.Names, namesBroker) && !slices.ContainsFunc(s.Front, httpPort):
		return "mqtt", ""
	}
	return "tcp", "if this is MQTT, write mqtt: mqedge can do more for it then"
}

func all(ports []int, kinds ...func(int) bool) bool {
	for _, port := range ports {
		if !slices.ContainsFunc(kinds, func(is func(int) bool) bool { return is(port) }) {
			return false
		}
	}
	return len(ports) > 0
}

// The ports are those of EMQX, and those that people make of them for several nodes on one host: 11883, 21883.

func plainMQTT(port int) bool      { return port == 1884 || port%10000 == 1883 }
func plainWebSocket(port int) bool { return port == 8083 || port >= 20000 && port%10000 == 8083 }

func secureMQTT(port int) bool      { return port == 8884 || port%10000 == 8883 }
func secureWebSocket(port int) bool { return port%10000 == 8084 }

func mqttPort(port int) bool      { return plainMQTT(port) || secureMQTT(port) }
func webSocketPort(port int) bool { return plainWebSocket(port) || secureWebSocket(port) }
func secure(port int) bool {
	return secureMQTT(port) || secureWebSocket(port) || port == 443 || port == 8443
}

// httpPort is of HTTP, where MQTT hides too, with WebSocket and without.
func httpPort(port int) bool { return port == 80 || port == 443 || port == 8443 }

// otherPort is of what stands beside a broker: its dashboard and API, databases, SSH.
func otherPort(port int) bool {
	return slices.Contains([]int{22, 3306, 5432, 5672, 6379, 8080, 8081, 9000, 9092, 18083, 18084, 27017}, port)
}

func namesBroker(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"mqtt", "emq", "mosquitto", "hivemq"}, func(word string) bool { return strings.Contains(name, word) })
}

func namesWebSocket(name string) bool {
	return slices.ContainsFunc(words(name), func(w string) bool { return w == "ws" || w == "wss" || w == "websocket" })
}

// NamesExHook says whether a text is about EMQX's hooks: a path of their calls, a name, or a comment.
func NamesExHook(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "exhook") || strings.Contains(text, "hookprovider")
}

// words takes a name apart: mqtt-ws_2 is mqtt, ws.
func words(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return !unicode.IsLetter(c) })
}
