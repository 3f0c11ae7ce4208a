package demo

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	publishEvery = 250 * time.Millisecond

	firstBackoff = 150 * time.Millisecond // after a connection ended
	maxBackoff   = 2 * time.Second        // after it could not be opened again and again
)

// device publishes to a topic of its own, subscribes to that of the device
// before it, and connects again whenever its connection ends.
type device struct {
	fleet   *fleet
	index   int
	id      string
	source  *net.TCPAddr // nil where loopback has one address only
	tls     *tls.Config
	version byte          // of MQTT
	leave   chan struct{} // tells it to disconnect
	lastID  uint16        // of its messages
	waiting atomic.Bool   // for the acknowledgement of the latest: on a machine that is too slow nothing piles up
}

// reading is what a device publishes.
type reading struct {
	N       uint16  `json:"n"`
	Celsius float64 `json:"celsius"`
}

func topic(index int) string { return fmt.Sprintf("demo/device-%02d/temperature", index+1) }

// run connects until ctx ends or the fleet has retired.
func (d *device) run(ctx context.Context) {
	backoff := firstBackoff
	for ctx.Err() == nil && !d.fleet.retired.Load() {
		if d.connection(ctx) {
			backoff = firstBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff)): // all at once would be a stampede
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// connection is the life of one connection. It reports whether it was of use.
func (d *device) connection(ctx context.Context) bool {
	c, err := dial(ctx, d.fleet.edge, d.source, d.tls, d.version)
	if err != nil {
		return false
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	if err := c.connect(d.id, topic(d.fleet.before(d.index))); err != nil {
		return false
	}
	d.fleet.opened(d.index, c)
	d.waiting.Store(false)
	done := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() { d.publish(c, done) })
	d.receive(c)
	d.fleet.ended(d.index)
	c.close()
	close(done)
	publishing.Wait()
	return true
}

// receive returns when the connection ends.
func (d *device) receive(c *client) {
	for {
		pk, err := c.read()
		if err != nil {
			return
		}
		switch pk.FixedHeader.Type {
		case packets.Puback:
			d.waiting.Store(false)
			d.fleet.acknowledged(d.index, pk.PacketID)
		case packets.Publish:
			var r reading
			if json.Unmarshal(pk.Payload, &r) == nil { // anyone may publish here
				d.fleet.delivered(d.fleet.before(d.index), r.N)
			}
			if pk.FixedHeader.Qos > 0 && c.acknowledge(pk.PacketID) != nil {
				return
			}
		}
	}
}

func (d *device) publish(c *client, done <-chan struct{}) {
	next := time.NewTimer(rand.N(publishEvery))
	defer next.Stop()
	for {
		select {
		case <-done:
			return
		case <-d.leave:
			c.disconnect()
			return
		case <-next.C:
			next.Reset(publishEvery)
		}
		if d.fleet.quiet.Load() || d.waiting.Load() {
			continue
		}
		d.waiting.Store(true)
		d.lastID = max(d.lastID+1, 1) // 0 is no packet identifier
		payload, _ := json.Marshal(reading{d.lastID, 20 + float64(rand.IntN(50))/10})
		d.fleet.published(d.index, d.lastID)
		if c.publish(topic(d.index), payload, d.lastID) != nil {
			c.close()
			return
		}
	}
}
