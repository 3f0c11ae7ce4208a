package carrier

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/proxy/relay"
)

// downstream is a client's connection. It is a [relay.Pair] to whoever handed it
// over, and a [relay.Handler] to the loop.
type downstream struct {
	carrier  *Carrier
	stream   relay.Stream
	client   *grpcrelay.Client
	counters *relay.Counters
	done     func(relay.Result)

	fromClient, toClient atomic.Uint64

	mu     sync.Mutex
	reason relay.Reason // why it is to end, if told to
	over   bool
}

// Receive implements [relay.Handler].
func (d *downstream) Receive(b []byte) {
	d.fromClient.Add(uint64(len(b)))
	d.counters.FromClient.Add(uint64(len(b)))
	d.client.Receive(b)
}

// Drained implements [relay.Handler].
func (d *downstream) Drained() { d.client.Resume() }

// Ended implements [relay.Handler].
func (d *downstream) Ended(err error) {
	d.client.Ended(err)
	delete(d.carrier.clients, d)
	d.carrier.left()
	d.mu.Lock()
	d.over = true
	result := relay.Result{Reason: d.reason, FromClient: d.fromClient.Load(), ToClient: d.toClient.Load()}
	d.mu.Unlock()
	if result.Reason == "" {
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			result.Reason = relay.ClientClosed
		default:
			result.Reason, result.Err = relay.ClientReset, err
		}
	}
	d.done(result)
}

// Bytes implements [relay.Pair].
func (d *downstream) Bytes() (fromClient, toClient uint64) {
	return d.fromClient.Load(), d.toClient.Load()
}

// Close implements [relay.Pair]: calls under way are cancelled.
func (d *downstream) Close(why relay.Reason) {
	if d.name(why) {
		d.carrier.streams.Do(func() { d.client.Close() })
	}
}

// Farewell implements [relay.Pair]: the connection is closed at the first moment
// without a call, whenever that comes. EMQX waits out its whole timeout for a call
// that is cut off, so there is no patience to lose: calls have deadlines of their
// own, and whoever cannot wait calls Close. gRPC has no words for it.
func (d *downstream) Farewell(why relay.Reason, _ []byte, _ time.Duration) {
	if d.name(why) {
		d.carrier.streams.Do(func() { d.client.Drain() }) // begun before, whatever the loop has done yet
	}
}

// name notes why the connection ends, if nobody did before. It is false when it has ended.
func (d *downstream) name(why relay.Reason) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reason == "" {
		d.reason = why
	}
	return !d.over
}

// output is how the calls send on a client's connection.
type output struct{ *downstream }

// Write implements [grpcrelay.Writer].
func (o output) Write(b []byte) {
	o.toClient.Add(uint64(len(b)))
	o.counters.ToClient.Add(uint64(len(b)))
	o.stream.Write(b)
}

// Backlog implements [grpcrelay.Writer].
func (o output) Backlog() int { return o.stream.Backlog() }

// Close implements [grpcrelay.Writer].
func (o output) Close() { o.stream.Close() }
