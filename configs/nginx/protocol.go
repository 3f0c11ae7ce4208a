package nginx

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/mqedge/mqedge/configs"
)

// protocolOf decides what a listener speaks, and says why where an operator should look at it. nginx passes on bytes
// and does not tell, so this is a guess; it errs towards tcp, which always does what nginx did. In this order:
//
//  1. TLS that does not end here can only be passed on: tcp.
//  2. Directives for MQTT: mqtt.
//  3. Names with the word ws, wss or websocket in them: mqtt_ws.
//  4. The ports of the servers behind, which all speak what these ports stand for: mqtt or mqtt_ws.
//  5. The ports that clients connect to: likewise.
//  6. Names with mqtt, emqx or the like in them, if no port is that of something else, such as a database or HTTPS: mqtt.
//  7. tcp.
func (im *importer) protocolOf(s *directive, t *target, l *configs.Listener) (protocol, why string) {
	var addresses, names []string
	for _, e := range t.endpoints {
		addresses = append(addresses, e.Address)
		names = append(names, e.Address[:strings.LastIndexByte(e.Address, ':')])
	}
	names = append(names, t.name)
	behind, front := portsOf(addresses), portsOf(l.Bind)

	endsHere := l.TLS != nil || len(behind) > 0 && all(behind, plainMQTT, plainWebSocket)
	passed := all(behind, secure) && !im.on(s, "proxy_ssl", false) || !endsHere && slices.ContainsFunc(front, secure)
	if l.TLS == nil && (passed || im.on(s, "ssl_preread", false)) {
		if im.protocol == "mqtt" {
			im.add(s, "its TLS does not end here, so it stays protocol tcp: mqedge could not read what clients say")
		}
		return "tcp", "TLS is passed on as it is"
	}
	if im.protocol != "" {
		return im.protocol, ""
	}
	isWebSocket := slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(words(name), func(w string) bool { return w == "ws" || w == "wss" || w == "websocket" })
	})
	switch {
	case im.on(s, "mqtt", false) || im.on(s, "mqtt_preread", false):
		return "mqtt", ""
	case isWebSocket:
		return "mqtt_ws", ""
	case all(behind, mqttPort):
		return "mqtt", ""
	case all(behind, webSocketPort):
		return "mqtt_ws", ""
	case all(front, mqttPort):
		return "mqtt", ""
	case all(front, webSocketPort):
		return "mqtt_ws", ""
	case slices.ContainsFunc(behind, otherPort) || slices.ContainsFunc(front, otherPort):
		return "tcp", ""
	case slices.ContainsFunc(names, namesBroker) && !slices.ContainsFunc(front, httpPort):
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

// words takes a name apart: mqtt-ws_2 is mqtt, ws.
func words(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return !unicode.IsLetter(c) })
}

// baseName is the scheme of a listener, as in URLs of clients.
func baseName(l *configs.Listener) string {
	name := map[string]string{"mqtt": "mqtt", "mqtt_ws": "ws", "tcp": "tcp"}[l.Protocol]
	if l.TLS != nil {
		name = map[string]string{"mqtt": "mqtts", "mqtt_ws": "wss", "tcp": "tls"}[l.Protocol]
	}
	return name
}

// listenerName is the scheme alone for the first listener of MQTT, and with the port for others.
func (im *importer) listenerName(l *configs.Listener) string {
	port := fmt.Sprint(portsOf(l.Bind)[0])
	if l.Protocol == "tcp" {
		return unused(im.cfg.Listeners, baseName(l)+"_"+port, port)
	}
	return unused(im.cfg.Listeners, baseName(l), port)
}
