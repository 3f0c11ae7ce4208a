//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/provider"
	"github.com/mqedge/mqedge/bench/sink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "load":
			// The sender sits in system calls most of the time and would take a processor from the receivers with it.
			runtime.GOMAXPROCS(runtime.NumCPU() + 2)
			return load.Serve(ctx, os.Stdin, os.Stdout)
		case "sink":
			s, err := sink.Listen(args[1:]...)
			if err != nil {
				return err
			}
			defer s.Close()
			return serve(s.Addrs(), s.Stats, os.Stdin, os.Stdout)
		case "provider":
			p, err := provider.Listen(args[1:]...)
			if err != nil {
				return err
			}
			defer p.Close()
			return serve(p.Addrs(), p.Stats, os.Stdin, os.Stdout)
		case "soak":
			return soak(ctx, args[1:], os.Stdout, os.Stderr)
		case "plot":
			return plot(args[1:], os.Stdout, os.Stderr)
		}
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	return benchmark(ctx, s, os.Stdout, os.Stderr)
}

// serve writes the addresses of an upstream, then its figures for each line it gets, until in ends.
func serve[S any](addrs []string, stats func() S, in io.Reader, out io.Writer) error {
	replies, requests := json.NewEncoder(out), json.NewDecoder(in)
	if err := replies.Encode(addrs); err != nil {
		return err
	}
	for {
		var request any
		if err := requests.Decode(&request); err != nil {
			return nil // the runner is done, or gone
		}
		if err := replies.Encode(stats()); err != nil {
			return err
		}
	}
}
