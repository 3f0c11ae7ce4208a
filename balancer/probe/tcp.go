package probe

import (
	"context"
	"fmt"
	"time"
)

// settling is how long a connection must stay open: what an overloaded EMQX accepts it resets at once.
const settling = 50 * time.Millisecond

// TCP connects, sends the PROXY header if there is to be one, sees that the connection stays open, and closes.
type TCP struct {
	Proxy byte // version of the PROXY header: 1, 2, or 0 for none
}

// Probe implements [balancer.Prober].
func (p TCP) Probe(ctx context.Context, addr string) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return unlessCanceled(ctx, p.probe(ctx, addr))
}

func (p TCP) probe(ctx context.Context, addr string) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.hangUp()
	header, err := c.proxyHeader(p.Proxy)
	if err != nil {
		return err
	}
	if len(header) > 0 {
		_, err = c.Write(header)
	}
	if err == nil {
		err = c.staysOpen(settling)
	}
	if err != nil {
		return fmt.Errorf("accepts connections and ends them at once, over its limits? %w", reason(err))
	}
	return nil
}
