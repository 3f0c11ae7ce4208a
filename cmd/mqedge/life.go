package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mqedge/mqedge/edge"
	"github.com/mqedge/mqedge/edge/systemd"
	"github.com/mqedge/mqedge/edge/upgrade"
)

const (
	// upgradeWithin is the most that a new process may take until it serves.
	upgradeWithin = time.Minute
	// tellEvery is how often systemd is told how many connections there are.
	tellEvery = 10 * time.Second
	// lookAgain is how soon a loop is looked at again that was stuck when systemd was to be told that all is well.
	lookAgain = time.Second
)

// life is a process that serves, from then to its end.
type life struct {
	edge     *edge.Edge
	program  string // what an upgrade starts
	systemd  systemd.Notifier
	drain    context.CancelFunc
	stop     context.CancelFunc
	draining context.Context // ends when drain is called

	upgraded chan error // what became of the upgrade that is under way
	upgrades bool       // one is
	telling  sync.Mutex // of reloads, so that what systemd is told last is true
	working  sync.WaitGroup
	ended    chan struct{} // closed when all has
	termed   atomic.Bool   // a signal to end came
	before   *upgrade.Predecessor
}

// newLife prepares to serve with e, by the program at that path.
func newLife(e *edge.Edge, program string) *life {
	return &life{edge: e, program: program, upgraded: make(chan error, 1), ended: make(chan struct{}), systemd: systemd.Notifier{Failed: reporter(e.Log())}}
}

// reporter logs the first failure only: the next ones are the same.
func reporter(log *slog.Logger) func(error) {
	var once sync.Once
	return func(err error) {
		once.Do(func() { log.Warn("systemd cannot be told how the service does", "error", err) })
	}
}

// run serves until the signals say otherwise, in the place of the process before if there is one.
func (l *life) run(signals <-chan os.Signal, before *upgrade.Predecessor) {
	draining, drain := context.WithCancel(context.Background())
	stopping, stop := context.WithCancel(context.Background())
	l.draining, l.drain, l.stop, l.before = draining, drain, stop, before
	defer drain()
	defer stop()
	go func() {
		defer close(l.ended)
		l.edge.Run(draining, stopping)
	}()
	before.Serve()
	l.working.Go(func() {
		select {
		case <-before.Released(): // systemd does not listen to this process before
			l.tellSystemd(draining)
		case <-draining.Done():
		}
	})
	for {
		select {
		case <-l.ended:
			l.working.Wait()
			return
		case err := <-l.upgraded:
			l.upgrades = false
			if err == nil {
				drain()
			}
		case s := <-signals:
			if atOnce := l.signal(s); atOnce {
				stop()
				return // what is open ends with the process
			}
		}
	}
}

// signal does what a signal asks for, and reports whether that is to end at once.
func (l *life) signal(s os.Signal) (atOnce bool) {
	switch s {
	case syscall.SIGHUP:
		go l.reload()
	case syscall.SIGUSR1:
		l.edge.ReopenLogs()
	case syscall.SIGUSR2:
		l.upgrade()
	default:
		if l.termed.Swap(true) {
			return true
		}
		if !l.edge.Succeeded() { // else systemd has nothing to do with this process any more
			l.systemd.Stopping(l.edge.LeaveWithin(), "draining")
		}
		l.drain()
	}
	return false
}

// reload says in the log what became of it, and tells systemd.
func (l *life) reload() {
	l.telling.Lock()
	defer l.telling.Unlock()
	if l.draining.Err() != nil {
		l.edge.Reload() // which says so
		return
	}
	l.systemd.Reloading()
	status := l.status()
	if err := l.edge.Reload(); err != nil {
		status += "; the latest reload failed: see the log"
	} else {
		status = l.status()
	}
	if l.draining.Err() == nil {
		l.systemd.Ready(status)
	}
}

var (
	errOnce      = errors.New("an upgrade is under way already")
	errNoProgram = errors.New("the path of the program that runs cannot be told")
)

// upgrade starts the program again, which may be another one by now.
func (l *life) upgrade() {
	tied := upgrade.Tied(l.before)
	for _, refused := range []struct {
		when bool
		why  error
	}{{l.upgrades, errOnce}, {l.program == "", errNoProgram}, {tied != nil, tied}} {
		if refused.when {
			l.edge.Log().Error("no upgrade", "error", refused.why)
			return
		}
	}
	l.upgrades = true
	go func() {
		l.upgraded <- l.edge.Upgrade(l.draining, edge.UpgradeOptions{
			Program: l.program, Args: os.Args[1:], Without: systemd.Private[:], Within: upgradeWithin,
			Serving: l.handOn,
		})
	}()
}

// handOn tells systemd which process is the service's now. Whoever told this one to end just before that meant the service.
func (l *life) handOn(pid int) {
	l.systemd.Successor(pid)
	if l.termed.Load() {
		syscall.Kill(pid, syscall.SIGTERM)
	}
}

// tellSystemd says that the service serves, that it is alive while its event loops are, and how many connections there are.
func (l *life) tellSystemd(ctx context.Context) {
	l.systemd.Ready(l.status())
	within, err := systemd.Watchdog()
	if err != nil {
		l.edge.Log().Warn("no watchdog", "error", err)
	}
	if within > 0 {
		l.working.Go(func() { l.feed(within / 2) })
	}
	if !systemd.Notified() {
		return
	}
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.systemd.Status(l.status())
		}
	}
}

// feed keeps the watchdog quiet, unless an event loop is stuck: its connections are helped by a restart alone. It goes on while
// the process takes leave of its clients, when systemd still waits for it.
func (l *life) feed(every time.Duration) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-l.ended:
			return
		case <-t.C:
		}
		if l.edge.Succeeded() {
			return // it is the next one's to feed
		}
		if l.edge.Stuck() > 0 {
			t.Reset(min(lookAgain, every))
			continue
		}
		l.systemd.Alive()
		t.Reset(every)
	}
}

func (l *life) status() string {
	listeners, connections := l.edge.Load()
	return fmt.Sprintf("%s, %s", count(listeners, "listener"), count(connections, "connection"))
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
