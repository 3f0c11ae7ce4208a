package load

import (
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/bench/bulk"
)

const bulkPatience = time.Minute

// BulkOptions describe a transfer over every connection at once.
type BulkOptions struct {
	Down    bool  `json:"down"`    // to the clients; else from them
	Packets int64 `json:"packets"` // of bulk.PacketSize, for each connection
}

// Bulk returns when all bytes have arrived. It reads from the connections itself, so not after Run.
func (cs *Clients) Bulk(opts BulkOptions) Outcome {
	var (
		failed failures
		ok     atomic.Int64
	)
	each(len(cs.conns), len(cs.conns), func(_, i int) {
		if err := cs.conns[i].transfer(bulk.Request(opts)); err != nil {
			failed.add(err)
			return
		}
		ok.Add(1)
	})
	return Outcome{OK: int(ok.Load()), Failed: failed.byError()}
}

func (c *client) transfer(q bulk.Request) error {
	if err := c.SetDeadline(time.Now().Add(bulkPatience)); err != nil {
		return err
	}
	if err := q.Transfer(c.in, c); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}
