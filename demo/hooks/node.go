package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// RequestTimeout is how long a node waits for an answer: the default of EMQX.
const RequestTimeout = 5 * time.Second

// Node calls hooks as a node of EMQX does. All methods but Close return when the call was answered, or failed; all may
// be called at any time from any goroutine.
type Node struct {
	opts  NodeOptions
	conn  *grpc.ClientConn
	ctx   context.Context
	close context.CancelFunc
}

// NodeOptions are all needed.
type NodeOptions struct {
	Addr string // of the hook server, or of what stands in front of them
	Name string // of the node

	// Began is called before each call and Ended after it, in the goroutine that made it.
	Began func()
	Ended func(Result)
}

// Result is what came of a call.
type Result struct {
	Method string
	Took   time.Duration
	Err    error // it failed, or the answer is not what it should be; ErrClosed if the node was closed meanwhile
	// Ignored says that the answer to a message was IGNORE. A Provider never says that, so it was somebody in its place.
	Ignored bool
}

// ErrClosed is the end of the calls that were under way when their node was closed.
var ErrClosed = errors.New("the node is gone")

// NewNode makes a node; its connection is made with the first call. End it with Close.
func NewNode(opts NodeOptions) (*Node, error) {
	conn, err := grpc.NewClient("passthrough:///"+opts.Addr, grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})))
	if err != nil {
		return nil, err
	}
	n := &Node{opts: opts, conn: conn}
	n.ctx, n.close = context.WithCancel(context.Background())
	return n, nil
}

// Load is what a node says when it starts.
func (n *Node) Load() {
	request := text(nil, 1, text(text(nil, 1, "5.8.9"), 2, "mqedge demo")) // BrokerInfo: version, sysdescr
	n.call(loaded, text(request, 2, n.meta()), func(answer []byte) (bool, error) {
		if !registers(answer) {
			return false, errors.New("not the hooks that the providers registered")
		}
		return false, nil
	})
}

// Connected makes the calls for a client that connects.
func (n *Node) Connected(client string) {
	info := text(text(nil, 1, n.opts.Name), 2, client) // ClientInfo
	n.call(authenticate, text(text(nil, 1, info), 3, n.meta()), func(answer []byte) (bool, error) {
		if kind, yes, _ := valued(answer); kind != stopAndReturn || !yes {
			return false, fmt.Errorf("not let in, by %x", answer)
		}
		return false, nil
	})
	n.call(connected, text(text(nil, 1, info), 2, n.meta()), func(answer []byte) (bool, error) {
		if len(answer) > 0 {
			return false, fmt.Errorf("an answer of %d bytes where an empty one is due", len(answer))
		}
		return false, nil
	})
}

// Published makes the call for a message of a client.
func (n *Node) Published(client, topic string, payload []byte, qos byte) {
	message := text(number(text(nil, 1, n.opts.Name), 3, uint64(qos)), 4, client)
	message = text(text(message, 5, topic), 6, payload)
	n.call(publish, text(text(nil, 1, message), 2, n.meta()), func(answer []byte) (bool, error) {
		kind, _, back := valued(answer)
		switch {
		case kind == ignore:
			return true, nil
		case kind != stopAndReturn || !bytes.Equal(back, message):
			return false, errors.New("the message came back changed")
		}
		return false, nil
	})
}

// Close ends the connection and the calls under way. Calls after it fail.
func (n *Node) Close() {
	n.close()
	_ = n.conn.Close()
}

// meta is the RequestMeta.
func (n *Node) meta() []byte { return text(nil, 1, n.opts.Name) }

func (n *Node) call(method string, request []byte, check func(answer []byte) (ignored bool, err error)) {
	ctx, cancel := context.WithTimeout(n.ctx, RequestTimeout)
	defer cancel()
	n.opts.Began()
	began := time.Now()
	var answer []byte
	err := n.conn.Invoke(ctx, service+method, &request, &answer)
	r := Result{Method: method, Took: time.Since(began), Err: err}
	switch {
	case n.ctx.Err() != nil:
		r.Err = ErrClosed
	case err == nil:
		r.Ignored, r.Err = check(answer)
	}
	n.opts.Ended(r)
}
