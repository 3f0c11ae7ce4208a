package load

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mqedge/mqedge/bench/mqtt"
	"github.com/mqedge/mqedge/bench/stats"
)

const stampSize = 4 + 8 // run, intended time

// RunOptions describe a stretch of load.
type RunOptions struct {
	Rate       float64       `json:"rate"` // PUBLISH packets per second over all connections, each of which comes back
	For        time.Duration `json:"for"`
	MinPayload int           `json:"min_payload"` // at least stampSize
	MaxPayload int           `json:"max_payload"`
	Seed       uint64        `json:"seed"` // equal seeds give equal schedules
	Grace      time.Duration `json:"grace"`
}

// RunResult is what became of the messages. Latency and lateness count from the time a message was due.
type RunResult struct {
	Due      int64          `json:"due"`
	Sent     int64          `json:"sent"` // less than Due when connections had died
	Received int64          `json:"received"`
	Failed   map[string]int `json:"failed,omitempty"` // connections that died, by error
	P50      time.Duration  `json:"p50"`              // until the message was back
	P99      time.Duration  `json:"p99"`
	LateP99  time.Duration  `json:"late_p99"` // until it was written: the generator's own share
}

// run is the current stretch; messages of an earlier one that come back late count for nothing.
type run struct {
	id       uint32
	epoch    time.Time
	received atomic.Int64
	latency  stats.Histogram
}

// Run publishes QoS 0 messages and waits until all are back, or for Grace after the last.
func (cs *Clients) Run(opts RunOptions) (RunResult, error) {
	if opts.MinPayload < stampSize || opts.MaxPayload < opts.MinPayload || opts.Rate <= 0 {
		return RunResult{}, errors.New("load: a run needs a rate, and payloads of at least 12 bytes")
	}
	if len(cs.conns) == 0 {
		return RunResult{}, errors.New("load: no connection to publish on")
	}
	cs.readers.Do(func() {
		for _, c := range cs.conns {
			cs.wg.Go(func() { cs.receive(c) })
		}
	})
	cs.runs++
	current := &run{id: cs.runs, epoch: time.Now()}
	cs.run.Store(current)

	var (
		result RunResult
		late   stats.Histogram
	)
	cs.send(opts, current, &result, &late)
	awaitAll(func() bool { return current.received.Load() >= result.Sent }, opts.Grace)

	result.Received = current.received.Load()
	result.Failed = cs.broken.byError()
	result.P50, result.P99 = current.latency.Quantile(0.5), current.latency.Quantile(0.99)
	result.LateP99 = late.Quantile(0.99)
	return result, nil
}

// send works through the schedule. A socket that is full holds it up; the messages due meanwhile are late, and say so.
func (cs *Clients) send(opts RunOptions, current *run, result *RunResult, late *stats.Histogram) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpenTimer()
	for _, c := range cs.conns {
		_ = c.SetWriteDeadline(current.epoch.Add(opts.For + opts.Grace))
	}
	random := rand.New(rand.NewPCG(opts.Seed, 1))
	payload, packet := make([]byte, opts.MaxPayload), []byte(nil)
	for due := time.Duration(0); ; {
		due += time.Duration(random.ExpFloat64() / opts.Rate * float64(time.Second))
		if due >= opts.For {
			return
		}
		c := cs.conns[random.IntN(len(cs.conns))]
		size := opts.MinPayload + random.IntN(opts.MaxPayload-opts.MinPayload+1)
		binary.BigEndian.PutUint32(payload, current.id)
		binary.BigEndian.PutUint64(payload[4:], uint64(due))
		packet = mqtt.AppendPublish(packet[:0], topic, 0, 0, payload[:size])

		sleepUntil(current.epoch.Add(due))
		result.Due++
		if c.dead.Load() {
			continue
		}
		if _, err := c.Write(packet); err != nil {
			cs.lose(c, err)
			continue
		}
		result.Sent++
		late.Record(time.Since(current.epoch) - due)
	}
}

func (cs *Clients) receive(c *client) {
	for {
		p, err := c.packets.Expect(mqtt.Publish)
		if err != nil {
			cs.lose(c, err)
			return
		}
		_, _, payload, err := p.Publish()
		if err == nil && len(payload) < stampSize {
			err = errors.New("a message came back shorter than it was sent")
		}
		if err != nil {
			cs.lose(c, err)
			return
		}
		current := cs.run.Load()
		if binary.BigEndian.Uint32(payload) != current.id {
			continue
		}
		current.latency.Record(time.Since(current.epoch) - time.Duration(binary.BigEndian.Uint64(payload[4:])))
		current.received.Add(1)
	}
}

// lose counts a connection that died, once, and not when Close ended it.
func (cs *Clients) lose(c *client, err error) {
	if !c.dead.Swap(true) && !errors.Is(err, net.ErrClosed) {
		cs.broken.add(err)
	}
}

// awaitAll waits until all are back, or for that long.
func awaitAll(back func() bool, grace time.Duration) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(grace)
	for !back() {
		select {
		case <-tick.C:
		case <-deadline:
			return
		}
	}
}

// sleepUntil sleeps in the kernel: Go's timers wake through epoll, to the millisecond only, which would turn the Poisson
// arrivals into bursts.
func sleepUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil)
	}
}

// sharpenTimer takes the 50 µs that the kernel may add to the sleeps of this thread down to 1 ns.
func sharpenTimer() {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
}
