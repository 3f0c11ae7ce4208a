//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/peers"
	"github.com/mqedge/mqedge/bench/report"
)

const (
	soakReport  = time.Minute
	soakSample  = time.Second
	soakBack    = time.Minute      // for goroutines and files to be those of the beginning again
	soakMessage = 10 * time.Second // mean time between messages on a connection
	soakSlack   = 5                // goroutines, or files, more than in the beginning
)

// soak holds connections through mqedge while some end and others come, and fails when anything is lost or left over.
func soak(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench soak", flag.ContinueOnError)
	lasting := flags.Duration("for", 3*time.Minute, "how long, from when all connections are open")
	conns := flags.Int("conns", 9000, "TLS connections held")
	churn := flags.Float64("churn", 100, "connections a second that end, half of them by RST, and are replaced")
	binary := flags.String("mqedge", "", "mqedge binary; built from ./cmd/mqedge when empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q; see bench soak --help", flags.Arg(0))
	}
	dir, err := os.MkdirTemp("", "bench-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	certs, err := newCertificates(dir)
	if err != nil {
		return err
	}
	if *binary == "" {
		if *binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	b, err := newBed(ctx, bedOptions{dir: dir, peer: peers.Mqedge(*binary), cert: certs[ecdsaKey]})
	defer b.close()
	if err != nil {
		return err
	}

	fmt.Fprintln(progress, host())
	w := &watch{bed: b, out: out}
	before, err := w.begin(ctx)
	if err != nil {
		return err
	}
	result, err := w.during(ctx, load.SoakOptions{Options: b.client(*conns, 0), For: *lasting, Churn: *churn, Every: soakMessage})
	if err != nil {
		return err
	}
	after, err := w.end(ctx, before)
	if err != nil {
		return err
	}
	var seen report.Measurement // for what the sink finds wrong
	if err := b.checkSink(&seen); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d connections opened, %d closed, %d reset; %d messages came back, %d were lost, %d wrong.\n",
		result.Opened, result.Closed, result.Reset, result.Messages, result.Lost, result.Wrong)
	return errors.Join(append(verdict(before, after, result), remarks(seen)...)...)
}

// verdict is what went wrong.
func verdict(before, after vitals, result load.SoakResult) (wrong []error) {
	if result.Lost > 0 || result.Wrong > 0 || len(result.Failed) > 0 {
		wrong = append(wrong, fmt.Errorf("%d messages lost, %d wrong: %v", result.Lost, result.Wrong, result.Failed))
	}
	if !after.back(before) {
		wrong = append(wrong, fmt.Errorf("not back within %s: %d goroutines after %d in the beginning, %d files after %d, %d connections",
			soakBack, after.goroutines, before.goroutines, after.fds, before.fds, after.connections))
	}
	return wrong
}

func remarks(m report.Measurement) (all []error) {
	for _, remark := range m.Remarks {
		all = append(all, errors.New(remark))
	}
	return all
}
