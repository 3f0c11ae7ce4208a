package grpcrelay

import "slices"

// recentStream remembers how a stream was closed, to tell what its late frames mean.
type recentStream struct {
	id  uint32
	how closedHow
}

type closedHow uint8

const (
	neverOpen closedHow = iota
	closedByBoth
	closedByPeer
	closedByUs
)

// open is a copy of what streams has, in order, for loops that end some of them.
func (cl *Client) open() []*Call {
	open := make([]*Call, 0, len(cl.streams))
	for _, c := range cl.streams {
		open = append(open, c)
	}
	slices.SortFunc(open, func(a, b *Call) int { return int(a.id) - int(b.id) })
	return open
}

// streamFailed resets a stream that the client has got wrong.
func (cl *Client) streamFailed(e streamError) {
	cl.group.stats.Malformed++
	if c := cl.streams[e.id]; c != nil {
		cl.forget(c, closedByUs)
		c.withdraw()
	}
	if e.id%2 == 1 {
		cl.last = max(cl.last, e.id)
	}
	cl.remember(e.id, closedByUs)
	cl.reset(e.id, e.code)
	if err := cl.countReset(); err != nil {
		cl.fail(err)
	}
}

// cut ends a stream whose answer is complete and whose request goes on.
func (cl *Client) cut(c *Call) {
	cl.reset(c.id, codeNone)
	cl.forget(c, closedByUs)
}

// forget takes a stream off the connection.
func (cl *Client) forget(c *Call, how closedHow) {
	if cl.streams[c.id] != c {
		return
	}
	delete(cl.streams, c.id)
	cl.remember(c.id, how)
	cl.group.wheel.remove(c)
	cl.group.deadCalls = append(cl.group.deadCalls, c)
	if cl.drain != drainNot && len(cl.streams) == 0 {
		cl.drainStep()
	}
}

func (cl *Client) remember(id uint32, how closedHow) {
	cl.recent[cl.recentAt%len(cl.recent)] = recentStream{id, how}
	cl.recentAt++
}

func (cl *Client) how(id uint32) closedHow {
	how := neverOpen
	for _, r := range cl.recent {
		if r.id == id {
			how = max(how, r.how)
		}
	}
	return how
}

func (cl *Client) lost() {
	if ce, ok := cl.err.(connError); ok && ce.code != codeNone {
		cl.group.stats.Faults++
	}
	delete(cl.group.clients, cl)
	for _, c := range cl.open() {
		cl.forget(c, closedByPeer)
		c.withdraw()
	}
}
