package mqtt

// Connack watches the first bytes that an endpoint sends for the reason code
// of its CONNACK (MQTT 5.0 section 3.2; return code before 5.0). The zero value
// is ready to use.
type Connack struct {
	got  [7]byte // fixed header of up to 5 bytes, flags, code
	n    int
	code int
	done bool
}

// Observe takes the next bytes and returns true when it needs no more: the code
// is known, or the first packet is no CONNACK.
func (c *Connack) Observe(p []byte) bool {
	if c.done {
		return true
	}
	c.n += copy(c.got[c.n:], p)
	b := c.got[:c.n]
	if c.n == 0 {
		return false
	}
	if b[0] != 0x20 {
		return c.finish(-1)
	}
	length, n, err := varint(b[1:])
	switch {
	case err == ErrIncomplete:
		return false
	case err != nil || length < 2:
		return c.finish(-1)
	case len(b) < 1+n+2:
		return false
	}
	return c.finish(int(b[1+n+1]))
}

func (c *Connack) finish(code int) bool {
	c.code, c.done = code, true
	return true
}

// Code returns the reason code, or -1 while there is none.
func (c *Connack) Code() int {
	if !c.done {
		return -1
	}
	return c.code
}
