package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge"
	"github.com/mqedge/mqedge/edge/systemd"
	"github.com/mqedge/mqedge/edge/upgrade"
)

func newRun() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Serve until SIGTERM or SIGINT, then drain",
		Long: `Serve in the foreground.

  SIGHUP            load the configuration again; a bad one changes nothing
  SIGUSR1           reopen log files
  SIGUSR2           upgrade: start the program again, which may have been replaced,
                    hand it the sockets, and drain; if it cannot start go on
  SIGTERM, SIGINT   drain and end; a second one ends at once

Exit codes: 0 ended as asked, 1 could not start, 2 bad usage or configuration.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if file == "" {
				return errors.New("which configuration? mqedge run -c FILE")
			}
			return run(file)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "the configuration `FILE`")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

func run(file string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go; the clients stay

	sockets := systemd.Sockets()
	program, noProgram := upgrade.Program()
	before, err := upgrade.Inherit()
	if err != nil {
		return &failure{code: exitFailed, err: err}
	}
	loops := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(loops + 2) // a busy loop keeps its processor; the rest of the program needs some too
	e := edge.New(edge.Options{
		Version: version(), Loops: loops, PaceGC: os.Getenv("GOGC") == "",
		WatchMemory: true, LimitMemory: os.Getenv("GOMEMLIMIT") == "",
		Load:        func() (*configs.Config, configs.Problems) { return edge.Load(file) },
		Predecessor: before, Sockets: sockets,
	})
	if err := e.Start(); err != nil {
		before.Fail(err)
		var bad *edge.ConfigError
		if errors.As(err, &bad) {
			for _, p := range bad.Problems {
				fmt.Fprintln(os.Stderr, p)
			}
			return &failure{code: exitUsage}
		}
		return &failure{code: exitFailed, err: err}
	}
	if noProgram != nil {
		e.Log().Warn("USR2 will not upgrade: the path of the program is not known", "error", noProgram)
	}
	newLife(e, program).run(signals, before)
	return nil
}
