//go:build linux

package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 3 * time.Second
	pollInterval = 10 * time.Millisecond
	shownOfLog   = 2000 // bytes of a failed program's last words
)

// Process is a running proxy.
type Process struct {
	Addr      string // where it takes clients
	AdminAddr string // of mqedge

	cmd    *exec.Cmd
	output string // file of what it said
	ended  chan struct{}
	stop   sync.Once
}

// Start runs the peer on a free loopback port and returns when it accepts connections. End it with Stop.
func (p Peer) Start(ctx context.Context, opts Options) (*Process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config, err := p.writeConfig(ctx, settings{Options: opts, Addr: addr, AdminAddr: admin})
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", p.Name, err)
	}
	output, err := os.Create(filepath.Join(opts.Dir, p.Name+".out")) // HAProxy's access log too
	if err != nil {
		return nil, err
	}
	defer output.Close()

	cmd := exec.Command(p.path(), p.arguments(config)...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its workers can be ended with it
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	process := &Process{Addr: addr, AdminAddr: admin, cmd: cmd, output: output.Name(), ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(process.ended)
	}()
	if err := process.awaitReady(ctx); err != nil {
		process.Stop()
		return nil, fmt.Errorf("start %s: %w; it said: %s", p.Name, err, process.lastWords())
	}
	return process, nil
}

// PID is that of the first process; workers are its descendants.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends the proxy with its workers, and returns when it has ended. Stopping twice does nothing.
func (p *Process) Stop() { p.stop.Do(p.kill) }

func (p *Process) kill() {
	group := -p.cmd.Process.Pid
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // what is left of it; mostly nothing
	<-p.ended
}

func (p *Process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", p.Addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no connection on %s within %s: %w", p.Addr, startTimeout, err)
		}
	}
}

func (p *Process) lastWords() string {
	said, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-shownOfLog):])
}

// freeAddr is an address nobody listens on now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
