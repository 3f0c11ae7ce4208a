package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/demo"
)

func newDemo() *cobra.Command {
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the product at work on loopback, with nothing else installed",
		Long: `Start three embedded brokers behind PROXY protocol, the edge with TLS in front
of them, some dozens of devices, two hook servers that the brokers call as EMQX
does, and an agent from which the edge learns of both by gossip; kill a broker
and a hook server and bring them back, add a broker and withdraw it; show what
happens. Free ports on loopback are used, and nothing is left behind.

Exit codes: 0 everything promised came true, 1 something did not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duration < 0 {
				return errors.New("--duration cannot be negative: say 0 to run until Ctrl-C")
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			err := demo.Run(ctx, demo.Options{Out: cmd.OutOrStdout(), Duration: duration, Version: version()})
			if err != nil {
				return &failure{code: exitFailed, err: err}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&duration, "duration", 0, "end by itself after this `TIME`; 0 runs until Ctrl-C")
	return cmd
}
