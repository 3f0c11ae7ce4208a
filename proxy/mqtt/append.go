package mqtt

// AppendConnack appends the CONNACK that refuses a client of that level with
// code, a reason code of MQTT 5.0. Clients before 5.0 hear "Server unavailable"
// for all of them. The connection must be closed after it (MQTT 5.0 section 3.2.2.2).
func AppendConnack(dst []byte, level, code byte) []byte {
	if level != Level5 {
		return append(dst, connackType, 2, 0, returnServerUnavailable)
	}
	return append(dst, connackType, 3, 0, code, 0)
}

// AppendDisconnect appends the DISCONNECT with which a server ends the connection
// of a 5.0 client; before 5.0 a server has none. The property length is written
// though it may be left out when it is 0 (section 3.14.2.2.1): several clients
// take the shorter packet for a broken one.
func AppendDisconnect(dst []byte, code byte) []byte {
	return append(dst, 0xe0, 2, code, 0)
}
