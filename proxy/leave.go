package proxy

import (
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/relay"
	"github.com/mqedge/mqedge/proxy/ws"
)

// farewell is why and how a client is parted with. Clients of MQTT 5 get a
// DISCONNECT with the code (section 3.14.2.1), which older ones have no packet
// for. Then the connection is closed.
type farewell struct {
	reason   string
	code     byte
	patience time.Duration // the least for which an open QoS 2 exchange is waited for
	atOnce   bool          // who is not served yet is closed
}

// Nobody acts on a Server Reference, so the codes name none. Use another server
// means for this time, unlike Server moved: the client is to come back here.
var (
	shuttingDown = farewell{reason: ReasonShutdown, code: mqtt.ServerShuttingDown}
	moved        = farewell{reason: reasonMoved, code: mqtt.UseAnotherServer}
	spread       = farewell{reason: reasonSpread, code: mqtt.UseAnotherServer, patience: 10 * time.Second}
	kicked       = farewell{reason: reasonKicked, code: mqtt.AdministrativeAction, atOnce: true}
)

// follow returns what finds the packets in what is relayed behind first, from
// the client, and answer, from the endpoint. It counts the messages in these.
func (c *conn) follow(first, answer []byte) relay.Follower {
	var f relay.Follower = new(mqtt.Follower)
	if c.protocol() == MQTTOverWebSocket {
		f = new(ws.Follower)
	}
	in, _ := f.FromClient(first)
	out, _ := f.FromServer(answer)
	c.listener.bytes.MessagesFromClient.Add(uint64(in))
	c.listener.bytes.MessagesToClient.Add(uint64(out))
	return f
}

// leave parts with the client at the next boundary between packets, and while a
// QoS 2 exchange is open only after left or the farewell's patience. Who is not
// served yet is told when it has said CONNECT.
func (c *conn) leave(f farewell, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil {
		c.part(f, left)
		return
	}
	if c.early.closing == "" {
		c.early.closing, c.early.leaving = f.reason, f
	}
	if f.atOnce && !c.early.greeted {
		c.abort()
	}
}

func (c *conn) part(f farewell, left time.Duration) {
	c.pair.Farewell(relay.Reason(f.reason), c.lastWords(f.code), max(left, f.patience))
}

// lastWords are what a client that is served can be told.
func (c *conn) lastWords(code byte) []byte {
	if !c.protocol().isMQTT() {
		return nil
	}
	var words []byte
	if c.greeting.level == mqtt.Level5 && c.connackCode == 0 {
		words = mqtt.AppendDisconnect(nil, code)
	}
	if c.protocol() != MQTTOverWebSocket {
		return words
	}
	if words != nil {
		words = ws.AppendFrame(nil, words)
	}
	return ws.AppendClose(words, ws.CloseGoingAway)
}

// uses reports whether the connection is one to the pool's endpoint at addr.
func (c *conn) uses(p *balancer.Pool, addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair != nil && c.lease.To(p, addr)
}
