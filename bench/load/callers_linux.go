package load

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/mqedge/mqedge/bench/hook"
)

// CallerOptions describe connections for gRPC calls.
type CallerOptions struct {
	Addr      string `json:"addr"`
	Conns     int    `json:"conns"`
	Streams   int    `json:"streams"` // calls under way on each at once; further ones wait for their turn
	ClientIDs int    `json:"client_ids"`
}

// Callers are connections to what takes them for a node of EMQX.
type Callers struct {
	conns   []*caller
	targets []target
	homes   []int // by target: the connection its calls go over, as a node of EMQX has it
	readers sync.Once
	wg      sync.WaitGroup // the readers
}

// target is a client id to call about.
type target struct {
	request []byte
	answer  []byte // the only right one; nil is any that registers the hook
}

const maxLoaded = 4 << 10 // bytes of an answer that registers hooks

func (t *target) room() int {
	if t.answer == nil {
		return maxLoaded
	}
	return len(t.answer)
}

func (t *target) right(answer []byte) bool {
	if t.answer == nil {
		return hook.Registers(answer)
	}
	return bytes.Equal(answer, t.answer)
}

// Dial opens all connections and makes a call over each. OnProviderLoaded goes before them over the first, and its answer must
// register the hook that is called then. Connections that fail are left out; without the first there are none.
func Dial(ctx context.Context, opts CallerOptions) (*Callers, Outcome, error) {
	if opts.Conns <= 0 || opts.Streams <= 0 || opts.ClientIDs <= 0 {
		return nil, Outcome{}, errors.New("load: calls need connections, streams and client ids")
	}
	var (
		cs     Callers
		failed failures
	)
	for i := range opts.ClientIDs {
		client := hook.ClientID(i)
		cs.targets = append(cs.targets, target{hook.AuthenticateRequest(client), hook.AppendAuthenticateAnswer(nil, []byte(client))})
	}
	opened := make([]*caller, opts.Conns)
	open := func(_, i int) {
		c, err := dialCaller(ctx, opts)
		if err == nil && i == 0 {
			err = c.load(opts.Addr)
		}
		if err == nil {
			err = c.once(&cs.targets[i%len(cs.targets)])
		}
		if err != nil {
			failed.add(err)
			if c != nil {
				_ = c.Close()
			}
			return
		}
		opened[i] = c
	}
	if open(0, 0); opened[0] != nil {
		each(opts.Conns-1, dialers, func(worker, i int) { open(worker, i+1) })
	}
	for _, c := range opened {
		if c != nil {
			cs.conns = append(cs.conns, c)
		}
	}
	cs.settle()
	return &cs, Outcome{OK: len(cs.conns), Failed: failed.byError()}, nil
}

// settle spreads the targets over the connections there are.
func (cs *Callers) settle() {
	if len(cs.conns) == 0 {
		return
	}
	for i := range cs.targets {
		home := i % len(cs.conns)
		cs.homes = append(cs.homes, home)
		cs.conns[home].own = append(cs.conns[home].own, &cs.targets[i])
	}
	for i, c := range cs.conns {
		if len(c.own) == 0 {
			c.own = append(c.own, &cs.targets[i%len(cs.targets)])
		}
	}
}

// Again makes one more call over every connection. It reads them itself, so not after Run.
func (cs *Callers) Again() Outcome {
	var (
		failed failures
		ok     atomic.Int64
	)
	each(len(cs.conns), dialers, func(_, i int) {
		if err := cs.conns[i].once(cs.conns[i].own[0]); err != nil {
			failed.add(err)
			return
		}
		ok.Add(1)
	})
	return Outcome{OK: int(ok.Load()), Failed: failed.byError()}
}

// Close ends all connections and returns when nothing runs any more.
func (cs *Callers) Close() {
	for _, c := range cs.conns {
		_ = c.Close()
	}
	cs.wg.Wait()
}
