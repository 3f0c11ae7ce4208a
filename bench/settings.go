//go:build linux

package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// settings are how much is measured.
type settings struct {
	only   []string // scenarios; empty is all
	peers  []string // names; empty is all
	quick  bool
	rounds int
	out    string // folder for the files; "" is a new one among the temporary files
	mqedge string // binary; "" is built

	idleConns int
	settle    time.Duration // from the last exchange to the reading of memory
	warmUp    time.Duration
	window    time.Duration
	bulk      int64         // bytes, all streams together
	setups    int           // TLS connections
	callFor   time.Duration // calls
	tuned     bool          // the tuned variants take part

	memoryRounds int // where one or two are enough
}

func parse(args []string) (settings, error) {
	full := settings{
		rounds: 5, memoryRounds: 2, tuned: true, idleConns: 4000, settle: 15 * time.Second,
		warmUp: 2 * time.Second, window: 10 * time.Second, bulk: 512 << 20, setups: 1500, callFor: 10 * time.Second,
	}
	quick := settings{
		quick: true, rounds: 2, memoryRounds: 1, idleConns: 2000, settle: 2 * time.Second,
		warmUp: 500 * time.Millisecond, window: 2 * time.Second, bulk: 192 << 20, setups: 600, callFor: 800 * time.Millisecond,
	}

	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "bench [flags]: measure; bench plot FILE: tables and picture of an earlier run; bench soak [flags]: see bench soak --help\n\n")
		flags.PrintDefaults()
	}
	isQuick := flags.Bool("quick", false, "under three minutes: fewer rounds and scenarios, shorter windows, no tuned variants")
	only := flags.String("only", "", "scenarios, by comma: "+strings.Join(names(), ", "))
	chosen := flags.String("peers", "", "peers, by comma: nginx, nginx-4k, nginx-64k, nginx-grpc, haproxy, haproxy-4k, haproxy-64k, haproxy-grpc, mqedge")
	rounds := flags.Int("rounds", 0, "rounds of each scenario; 0 is 5, or 2 with --quick")
	out := flags.String("out", "", "folder for bench.json and bench.svg")
	binary := flags.String("mqedge", "", "mqedge binary; built from ./cmd/mqedge when empty")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("unexpected %q; see --help", flags.Arg(0))
	}

	s := full
	if *isQuick {
		s = quick
	}
	if *rounds > 0 {
		s.rounds = *rounds
	}
	s.only, s.peers, s.out, s.mqedge = list(*only), list(*chosen), *out, *binary
	s.tuned = s.tuned || len(s.peers) > 0 // whoever names one wants it
	for _, name := range s.only {
		if !slices.Contains(names(), name) {
			return settings{}, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return s, nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// wanted reports whether name is in the list, or the list is empty.
func wanted(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
