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
			return serveSink(args[1:], os.Stdin, os.Stdout)
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

// serveSink writes its addresses, then its figures for each line it gets, until in ends.
func serveSink(addrs []string, in io.Reader, out io.Writer) error {
	s, err := sink.Listen(addrs...)
	if err != nil {
		return err
	}
	defer s.Close()
	replies, requests := json.NewEncoder(out), json.NewDecoder(in)
	if err := replies.Encode(s.Addrs()); err != nil {
		return err
	}
	for {
		var request any
		if err := requests.Decode(&request); err != nil {
			return nil // the runner is done, or gone
		}
		if err := replies.Encode(s.Stats()); err != nil {
			return err
		}
	}
}
