package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mqedge/mqedge/admin"
)

// fastest is how often top may ask at the most.
const fastest = 100 * time.Millisecond

func newTop() *cobra.Command {
	var f adminFlags
	interval := 2 * time.Second
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running mqedge in the terminal",
		Long: `Show rates, listeners, endpoints, hooks, gossip members, certificates and the
latest events of a running mqedge, and keep them up to date.

  q          end
  s, r       sort endpoints by state, address, active, rate or failures; reverse
  p          only endpoints that have problems
  ↑ ↓ j k    scroll; space, PgUp, PgDn, g and G too

Where the output is no terminal, it prints one screen after one interval and
ends. With NO_COLOR in the environment there is no colour.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < fastest {
				return fmt.Errorf("--interval %v: write %v or more", interval, fastest)
			}
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				o := admin.TopOptions{Client: c, Out: cmd.OutOrStdout(), Interval: interval}
				in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
				if !term.IsTerminal(out) || !term.IsTerminal(in) || os.Getenv("TERM") == "dumb" {
					columns, _ := strconv.Atoi(os.Getenv("COLUMNS"))
					return admin.TopOnce(ctx, o, columns)
				}
				o.Colour = os.Getenv("NO_COLOR") == ""
				return topOnTerminal(ctx, o, in, out)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&interval, "interval", interval, "how often to ask")
	return cmd
}

// topOnTerminal runs it in raw mode, which ends with it.
func topOnTerminal(ctx context.Context, o admin.TopOptions, in, out int) (err error) {
	before, err := term.MakeRaw(in)
	if err != nil {
		return fmt.Errorf("the terminal cannot be used: %w", err)
	}
	defer func() { err = errors.Join(err, term.Restore(in, before)) }()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()

	o.Size = func() (int, int) {
		width, height, err := term.GetSize(out)
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	resized, keys := make(chan struct{}), make(chan []byte)
	o.Resized, o.Keys = resized, keys
	go func() { // these two end with the process
		for range changed {
			resized <- struct{}{}
		}
	}()
	go func() {
		defer close(keys)
		for {
			buf := make([]byte, 64)
			n, err := os.Stdin.Read(buf)
			if err != nil {
				return
			}
			keys <- buf[:n]
		}
	}()
	return admin.Top(ctx, o)
}
