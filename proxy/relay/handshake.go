package relay

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// trafficKeys collects the secrets of one connection in TLS 1.3. crypto/tls gives them to
// Config.KeyLogWriter and to nobody else; they stay in this process.
type trafficKeys struct {
	client, server []byte
}

// Write takes one line of the log: a label, the client's random, the secret.
func (k *trafficKeys) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return len(line), nil
	}
	switch string(fields[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		k.client, _ = hex.AppendDecode(nil, fields[2])
	case "SERVER_TRAFFIC_SECRET_0":
		k.server, _ = hex.AppendDecode(nil, fields[2])
	}
	return len(line), nil
}

// cutter stands between crypto/tls and a Conn during a handshake. It gives out
// no byte beyond the record that is being read, so that crypto/tls holds none
// of what follows the handshake, and keeps what was written last.
type cutter struct {
	header  [5]byte // RFC 8446 section 5.1: type, version, length
	have    int     // bytes of the header that were given out
	left    int     // bytes of the record after it that were not
	written []byte
}

// readCut reads ahead of crypto/tls and gives it one record at most.
func (c *Conn) readCut(p []byte) (int, error) {
	if len(c.unread) == 0 {
		b, err := c.ahead()
		if err != nil {
			return 0, err
		}
		c.unread = slices.Clone(b)
	}
	n := c.cut.read(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// read gives out bytes of b and returns how many.
func (c *cutter) read(p, b []byte) int {
	if c.left == 0 {
		if c.have == len(c.header) {
			c.have = 0 // the record before was empty
		}
		n := copy(p, b[:min(len(b), len(c.header)-c.have)])
		c.have += copy(c.header[c.have:], b[:n])
		if c.have == len(c.header) {
			c.left = int(c.header[3])<<8 | int(c.header[4])
		}
		return n
	}
	n := copy(p, b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 {
		c.have = 0
	}
	return n
}
