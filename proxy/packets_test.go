package proxy

import "encoding/binary"

// connack accepts a client of MQTT 3.1.1.
var connack = []byte{0x20, 2, 0, 0}

// connect is a CONNECT packet of MQTT 3.1.1.
func connect(id string, keepAlive uint16) []byte {
	return packet(body("MQTT", 4, 0x02, keepAlive, nil), text(id))
}

// connects is a CONNECT of every version, with a user name and a password.
func connects(id string) map[string][]byte {
	properties := []byte{5, 0x11, 0, 0, 0, 60} // session expiry
	return map[string][]byte{
		"3.1":   packet(body("MQIsdp", 3, 0xC2, 60, nil), text(id), text("ann"), text("secret")),
		"3.1.1": packet(body("MQTT", 4, 0xC2, 60, nil), text(id), text("ann"), text("secret")),
		"5":     packet(body("MQTT", 5, 0xC2, 60, properties), text(id), text("ann"), text("secret")),
	}
}

func body(name string, level, flags byte, keepAlive uint16, properties []byte) []byte {
	b := append(text(name), level, flags)
	b = binary.BigEndian.AppendUint16(b, keepAlive)
	return append(b, properties...)
}

func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func packet(parts ...[]byte) []byte {
	var content []byte
	for _, p := range parts {
		content = append(content, p...)
	}
	b := []byte{0x10}
	for n := len(content); ; {
		digit := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			b = append(b, digit)
			return append(b, content...)
		}
		b = append(b, digit|0x80)
	}
}
