package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/edge"
	"github.com/mqedge/mqedge/edge/doctor"
)

func newDoctor() *cobra.Command {
	var o doctor.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [FILE]",
		Short: "Check this host for what a configuration needs",
		Long: `Check this host for what a configuration needs: open files, ports, source ports,
queues of the kernel, connection tracking, memory, files, endpoints, and EMQX nodes
that get in each other's way. Each finding comes with the command that mends it;
nothing is changed. Without FILE the host is checked in general.

Run it as the user of mqedge, to see what that user may; as root it also sees which
process has a port. Endpoints are connected to, as an MQTT client that comes and goes.

Exit codes: 0 nothing to mend (there may be notes), 1 errors or warnings, 2 bad usage,
or a bad configuration, which is told as by mqedge check.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return examine(ctx, cmd.OutOrStdout(), file, o, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().BoolVar(&o.Offline, "offline", false, "resolve no names and connect to no endpoint")
	cmd.Flags().StringVar(&o.Root, "root", "/", "`DIR` with the host's proc and sys, for containers that mount them elsewhere")
	cmd.MarkFlagDirname("root")
	return cmd
}

func examine(ctx context.Context, out io.Writer, file string, o doctor.Options, asJSON bool) error {
	if _, err := os.Stat(o.Root); err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	if file != "" {
		c, problems := edge.Load(file)
		if problems.Err() != nil {
			if asJSON {
				if err := printProblems(out, problems); err != nil {
					return err
				}
				return &failure{code: exitUsage}
			}
			for _, p := range problems {
				fmt.Fprintln(out, p)
			}
			return &failure{code: exitUsage}
		}
		o.Config = c
	}
	h := doctor.Read(ctx, o)
	if o.Config != nil && !o.Offline {
		doctor.Ask(ctx, h, o)
	}
	if err := ctx.Err(); err != nil {
		return &failure{code: exitFailed, err: errors.New("interrupted")}
	}
	report := doctor.Examine(o.Config, h)
	if asJSON {
		if err := printJSON(out, report); err != nil {
			return err
		}
	} else {
		fmt.Fprint(out, report.Text())
	}
	if !report.Clean() {
		return &failure{code: exitFailed}
	}
	return nil
}
