package grpcrelay

import "encoding/binary"

// Receive takes bytes that came from the peer; it keeps none of b.
func (c *conn) Receive(b []byte) {
	if c.closed {
		return
	}
	c.group.tell()
	if err := c.receive(b); err != nil {
		c.fail(err)
	}
}

func (c *conn) receive(b []byte) error {
	for len(b) > 0 && !c.closed {
		if c.rest == nil {
			if len(b) < frameHead {
				c.rest = append(c.group.buffer(), b...)
				return nil
			}
			n := frameHead + frameLength(b)
			if n > frameHead+maxFrame {
				return connError{codeFrameSize, "a frame is larger than 16 KiB"}
			}
			if len(b) < n {
				c.rest = append(c.group.buffer(), b...)
				return nil
			}
			if err := c.frame(parseFrame(b[:n:n])); err != nil {
				return err
			}
			b = b[n:]
			continue
		}
		if n := frameHead - len(c.rest); n > 0 {
			n = min(n, len(b))
			c.rest = append(c.rest, b[:n]...)
			b = b[n:]
			if len(c.rest) < frameHead {
				return nil
			}
		}
		n := frameHead + frameLength(c.rest)
		if n > frameHead+maxFrame {
			return connError{codeFrameSize, "a frame is larger than 16 KiB"}
		}
		k := min(n-len(c.rest), len(b))
		c.rest = append(c.rest, b[:k]...)
		b = b[k:]
		if len(c.rest) < n {
			return nil
		}
		whole := c.rest
		c.rest = nil
		err := c.frame(parseFrame(whole))
		c.group.release(whole)
		if err != nil {
			return err
		}
	}
	return nil
}

// frame does what a frame means for any connection and hands the rest to the role.
func (c *conn) frame(f frame) error {
	if c.blockID != 0 && (f.kind != frameContinuation || f.id != c.blockID) {
		return connError{codeProtocol, "a header block is not gone on with"}
	}
	if !c.settled && (f.kind != frameSettings || f.flags&flagAck != 0) {
		return connError{codeProtocol, "the first frame is not SETTINGS"}
	}
	err := c.dispatch(f)
	if se, ok := err.(streamError); ok {
		c.peer.streamFailed(se)
		return nil
	}
	return err
}

func (c *conn) dispatch(f frame) error {
	switch f.kind {
	case frameSettings:
		return c.takeSettings(f)
	case framePing:
		return c.takePing(f)
	case framePush:
		return connError{codeProtocol, "PUSH_PROMISE is not expected"}
	case frameWindow:
		if len(f.body) != 4 {
			return connError{codeFrameSize, "WINDOW_UPDATE has not 4 bytes"}
		}
		n := int64(binary.BigEndian.Uint32(f.body) & maxWindow)
		if f.id != 0 {
			return c.peer.take(f)
		}
		if n == 0 {
			return connError{codeProtocol, "WINDOW_UPDATE of nothing"}
		}
		if c.sendWindow += n; c.sendWindow > maxWindow {
			return connError{codeFlowControl, "the window of the connection overflows"}
		}
		c.pumpWaiting()
		return c.peer.take(f)
	case frameHeaders, frameContinuation:
		return c.takeBlock(f)
	}
	return c.peer.take(f)
}
