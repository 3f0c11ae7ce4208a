package grpcrelay

import "encoding/binary"

// What SETTINGS, PING and the framing of header blocks mean is the same for both roles.

func (c *conn) takeSettings(f frame) error {
	switch {
	case f.id != 0:
		return connError{codeProtocol, "SETTINGS on a stream"}
	case f.flags&flagAck != 0 && len(f.body) != 0:
		return connError{codeFrameSize, "the acknowledgement of SETTINGS is not empty"}
	case len(f.body)%6 != 0:
		return connError{codeFrameSize, "SETTINGS are not of 6 bytes each"}
	}
	if f.flags&flagAck != 0 {
		return c.peer.take(f)
	}
	for b := f.body; len(b) > 0; b = b[6:] {
		key, value := binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])
		switch key {
		case settingTableSize:
			c.enc.limit(value)
		case settingPush:
			if value > 1 {
				return connError{codeProtocol, "ENABLE_PUSH is neither 0 nor 1"}
			}
		case settingMaxFrame:
			if value < maxFrame || value > maxFrameSize {
				return connError{codeProtocol, "MAX_FRAME_SIZE is out of its range"}
			}
			// More than the least gains nothing and would let one stream hold up others.
		case settingWindow:
			if value > maxWindow {
				return connError{codeFlowControl, "INITIAL_WINDOW_SIZE is out of its range"}
			}
		}
		if err := c.peer.settings(key, value); err != nil {
			return err
		}
	}
	c.settled = true
	if err := c.answer(); err != nil {
		return err
	}
	c.out = appendFrameHead(c.out, 0, frameSettings, flagAck, 0)
	return c.peer.take(f)
}

func (c *conn) takePing(f frame) error {
	switch {
	case f.id != 0:
		return connError{codeProtocol, "PING on a stream"}
	case len(f.body) != 8:
		return connError{codeFrameSize, "PING has not 8 bytes"}
	}
	if f.flags&flagAck == 0 {
		if err := c.answer(); err != nil {
			return err
		}
		c.out = append(appendFrameHead(c.out, 8, framePing, flagAck, 0), f.body...)
	} else if c.pinged {
		c.pinged = false
		if done := c.acked; done != nil {
			c.acked = nil
			done()
		}
	}
	return c.peer.take(f)
}

// answer is called before a frame is answered by one of ours: a peer that asks
// and does not read the answers is let go.
func (c *conn) answer() error {
	if c.answers++; c.backlog > 0 && c.answers > answersMost {
		return connError{codeCalm, "answers are asked for and not read"}
	}
	c.touch()
	return nil
}

const answersMost = 1000

// ping asks the peer for a sign of life.
func (c *conn) ping(done func()) {
	c.pinged, c.acked = true, done
	c.touch()
	c.out = append(appendFrameHead(c.out, 8, framePing, 0, 0), "mqedge\x00\x01"...)
}

// takeBlock gathers a header block and hands it to the role as one HEADERS frame.
func (c *conn) takeBlock(f frame) error {
	if f.id == 0 {
		return connError{codeProtocol, "a header block has no stream"}
	}
	if f.kind == frameHeaders {
		if err := f.unpad(); err != nil {
			if se, ok := err.(streamError); ok && f.flags&flagEndHeaders != 0 {
				// The block counts for the table all the same.
				if _, err := c.dec.decode(f.body); err != nil {
					return err
				}
				return se
			}
			return connError{codeProtocol, err.Error()}
		}
		if f.flags&flagEndHeaders != 0 {
			return c.peer.take(f)
		}
		c.blockID, c.blockFlags, c.blockParts = f.id, f.flags, 0
		c.block = append(c.block[:0], f.body...)
		return nil
	}
	if c.blockID == 0 {
		return connError{codeProtocol, "CONTINUATION of nothing"}
	}
	if c.blockParts++; c.blockParts > blockParts || len(c.block)+len(f.body) > blockLimit {
		return connError{codeCalm, "a header block is too large"}
	}
	c.block = append(c.block, f.body...)
	if f.flags&flagEndHeaders == 0 {
		return nil
	}
	whole := frame{kind: frameHeaders, flags: c.blockFlags | flagEndHeaders, id: c.blockID, body: c.block}
	c.blockID, c.block = 0, nil
	return c.peer.take(whole)
}
