package grpcrelay

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
)

// Provider is a connection to a provider: we are the client. Its methods Receive,
// Resume and Ended are for the driver.
type Provider struct {
	conn
	// Data belongs to the handler.
	Data any

	o          ProviderOptions
	streams    map[uint32]*forward
	own        int // calls of our own
	nextID     uint32
	maxStreams uint32
	opened     int64
	leaving    bool // no new calls: GOAWAY came, or Drain was called
	full       bool // Room was asked for and there was none

	heard  int64 // when anything last came
	pingAt int64
	pings  int // since an answer moved
}

// ProviderOptions of a connection to a provider.
type ProviderOptions struct {
	TLS       bool   // the scheme that the provider is told
	Authority string // for calls that have none
	// Changed is called when Room may have changed other than by a call or its
	// end: the connection is ready, leaves or is lost, and when there is room
	// again after there was none.
	Changed func(*Provider)
}

// ErrLeft is the error of a provider's connection that it ended by GOAWAY, or that
// was drained.
var ErrLeft = errors.New("grpcrelay: the connection was left in good order")

// Provider takes a connection to a provider into the group.
func (g *Group) Provider(w Writer, o ProviderOptions) *Provider {
	g.tell()
	p := &Provider{
		o: o, streams: make(map[uint32]*forward), nextID: 1, maxStreams: maxStreamID,
		opened: g.now, heard: g.now,
	}
	p.conn.open(g, w, p)
	g.servers[p] = struct{}{}
	p.touch()
	p.out = append(p.out, preface...)
	p.out = appendFrameHead(p.out, 12, frameSettings, 0, 0)
	p.out = appendSetting(p.out, settingPush, 0)
	p.out = appendSetting(p.out, settingWindow, uint32(g.o.StreamWindow/2))
	if more := g.o.ConnWindow - firstWindow; more > 0 {
		p.out = appendWindow(p.out, 0, int64(more))
	}
	return p
}

// Ready tells whether the connection is set up and takes calls, as far as there is Room.
func (p *Provider) Ready() bool {
	return p.settled && !p.closed && !p.leaving
}

// Room is how many calls more the provider takes on this connection: none while it
// does not read.
func (p *Provider) Room() int {
	if !p.Ready() {
		return 0
	}
	n := int(p.maxStreams) - len(p.streams)
	if n <= 0 || p.backlog >= p.group.o.Backlog/4 {
		p.full = true
		return 0
	}
	return n
}

// InFlight is how many calls the provider has on this connection.
func (p *Provider) InFlight() int { return len(p.streams) }

// Drain takes no more calls and closes when those in flight have ended.
func (p *Provider) Drain() {
	if p.closed || p.leaving {
		return
	}
	p.leaving = true
	p.changed()
	p.leaveIdle()
}

// Close closes the connection now. Calls in flight fail with UNAVAILABLE.
func (p *Provider) Close() {
	p.group.tell()
	p.fail(connError{codeNone, "closing"})
}

func (p *Provider) changed() {
	if p.o.Changed != nil {
		p.o.Changed(p)
	}
}

func (p *Provider) leaveIdle() {
	if p.leaving && !p.closed && len(p.streams) == 0 {
		p.touch()
		p.out = appendGoaway(p.out, 0, codeNone, "")
		p.shut(ErrLeft)
	}
}

// add gives a forward its stream.
func (p *Provider) add(f *forward) {
	if len(p.streams) == 0 {
		p.heard = p.group.now // silence counts from here
	}
	f.id = p.nextID
	p.nextID += 2
	p.streams[f.id] = f
	if f.call.client == nil {
		p.own++
	}
	if p.nextID > maxStreamID-2 {
		p.leaving = true // the numbers are used up
		p.changed()
	}
}

// roomMade is called after a forward has ended.
func (p *Provider) roomMade() {
	if p.full && len(p.streams) < int(p.maxStreams) && p.backlog < p.group.o.Backlog/4 && p.Ready() {
		p.full = false
		p.changed()
	}
	p.leaveIdle()
}

// Resume is for the driver to call when the writer's backlog has become smaller or
// is gone.
func (p *Provider) Resume() {
	p.conn.Resume()
	p.roomMade()
}

// Receive takes bytes that came from the provider; it keeps none of b.
func (p *Provider) Receive(b []byte) {
	if p.closed {
		return
	}
	p.conn.Receive(b)
	p.heard = p.group.now
	p.pinged = false
}

func (p *Provider) take(f frame) error {
	switch f.kind {
	case frameData:
		return p.takeData(f)
	case frameHeaders:
		return p.takeHeaders(f)
	case frameReset:
		return p.takeReset(f)
	case frameWindow:
		return p.takeWindow(f)
	case frameGoaway:
		return p.takeGoaway(f)
	case frameSettings:
		if p.grown {
			p.grown = false
			for _, s := range p.open() {
				s.pump(false)
			}
		}
		if f.flags&flagAck == 0 {
			p.changed()
		}
	}
	return nil
}

// stream finds the stream of a frame; nil if it is over.
func (p *Provider) stream(f frame) (*forward, error) {
	if f.id == 0 || f.id%2 == 0 || f.id >= p.nextID {
		return nil, connError{codeProtocol, "a frame on a stream that is not open"}
	}
	return p.streams[f.id], nil
}

func (p *Provider) takeHeaders(f frame) error {
	h, err := p.dec.decode(f.body)
	if err != nil {
		return err
	}
	s, err := p.stream(f)
	if s == nil {
		return err
	}
	p.pings = 0
	s.takeHeaders(h, f.flags&flagEnd != 0)
	return nil
}

func (p *Provider) takeData(f frame) error {
	size := len(f.body)
	if p.recvWindow -= int64(size); p.recvWindow < 0 {
		return connError{codeFlowControl, "more DATA than the window of the connection"}
	}
	if err := f.unpad(); err != nil {
		return err
	}
	// One client that does not read must not hold up the others, so this window is
	// given back at once. Options.Buffered and the windows of streams are the bound.
	p.credit(size)
	s, err := p.stream(f)
	if s == nil {
		return err
	}
	p.pings = 0
	s.takeData(f.body, size, f.flags&flagEnd != 0)
	return nil
}

func (p *Provider) takeReset(f frame) error {
	if len(f.body) != 4 {
		return connError{codeFrameSize, "RST_STREAM has not 4 bytes"}
	}
	s, err := p.stream(f)
	if s == nil {
		return err
	}
	code := resetCode(binary.BigEndian.Uint32(f.body))
	st := fromReset(code)
	if code == codeCancel && s.expires != 0 && p.group.now+wheelTick >= s.expires {
		st.code = codes.DeadlineExceeded
	}
	s.answerEnd, s.requestEnd = true, true // there is no stream to be reset
	s.finish(Outcome{Code: st.code, Text: st.text, Unprocessed: code == codeRefused}, nil)
	return nil
}

func (p *Provider) takeWindow(f frame) error {
	if f.id == 0 {
		return nil
	}
	s, err := p.stream(f)
	if s == nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(f.body) & maxWindow)
	if n == 0 {
		return streamError{f.id, codeProtocol, "WINDOW_UPDATE of nothing"}
	}
	if s.sendWindow += n; s.sendWindow > maxWindow {
		return streamError{f.id, codeFlowControl, "the window of the stream overflows"}
	}
	s.pump(false)
	return nil
}

func (p *Provider) takeGoaway(f frame) error {
	if f.id != 0 || len(f.body) < 8 {
		return connError{codeProtocol, "GOAWAY is malformed"}
	}
	last := binary.BigEndian.Uint32(f.body) & maxStreamID
	first := !p.leaving
	p.leaving = true
	if first {
		p.changed()
	}
	for _, s := range p.open() {
		if s.id > last {
			s.answerEnd, s.requestEnd = true, true
			s.finish(Outcome{Code: codes.Unavailable, Text: "the provider is going away", Unprocessed: true}, nil)
		}
	}
	p.leaveIdle()
	return nil
}

func (p *Provider) settings(key uint16, value uint32) error {
	switch key {
	case settingMaxStreams:
		p.maxStreams = min(value, maxStreamID)
	case settingWindow:
		more := int64(value) - p.firstWindow
		p.firstWindow = int64(value)
		for _, s := range p.streams {
			if s.sendWindow += more; s.sendWindow > maxWindow {
				return connError{codeFlowControl, "the window of a stream overflows"}
			}
		}
		p.grown = p.grown || more > 0
	}
	return nil
}

func (p *Provider) open() []*forward {
	open := make([]*forward, 0, len(p.streams))
	for _, f := range p.streams {
		open = append(open, f)
	}
	slices.SortFunc(open, func(a, b *forward) int { return int(a.id) - int(b.id) })
	return open
}

// streamFailed ends a stream that the provider has got wrong.
func (p *Provider) streamFailed(e streamError) {
	if f := p.streams[e.id]; f != nil {
		f.broken(status{codes.Internal, "the provider broke the protocol: " + e.why}, e.code)
	}
}

func (p *Provider) goaway() uint32 { return 0 }

func (p *Provider) lost() {
	delete(p.group.servers, p)
	text := "the connection to the provider was lost"
	for _, f := range p.open() {
		f.answerEnd, f.requestEnd = true, true
		f.finish(Outcome{Code: codes.Unavailable, Text: text}, nil)
	}
	p.changed()
}

// sweep is called about every second. A provider that has calls and is silent is
// pinged; since servers of grpc-go close connections on which more than two pings
// come with nothing moving, the third waits.
func (p *Provider) sweep() {
	now, quiet := p.group.now, int64(p.group.o.Quiet)
	if p.closed {
		return
	}
	const third = int64(5*time.Minute + 10*time.Second)
	switch {
	case !p.settled && now-p.opened > int64(handshakeTimeout):
		p.fail(connError{codeSettingsTimeout, "the provider sent no SETTINGS"})
	case p.pinged && now-p.pingAt > int64(p.group.o.PingTimeout):
		p.fail(connError{codeNone, "the provider did not answer a ping"})
	case p.settled && !p.pinged && len(p.streams) > 0 && now-p.heard > quiet && (p.pings < 2 || now-p.pingAt > third):
		p.pings++
		p.pingAt = now
		p.ping(nil)
	}
}
