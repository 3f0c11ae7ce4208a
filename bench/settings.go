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
	rounds int
	out    string // folder for the JSON file; "" is a new one among the temporary files
	mqedge string // binary; "" is built

	idleConns int
	settle    time.Duration // from the last exchange to the reading of memory
	conns     int           // that messages are spread over
	warmUp    time.Duration
	window    time.Duration
	tuned     bool // the tuned variants take part in every scenario, not only where memory is measured
}

func parse(args []string) (settings, error) {
	full := settings{rounds: 5, idleConns: 4000, settle: 15 * time.Second, conns: 500, warmUp: 2 * time.Second, window: 10 * time.Second, tuned: true}
	quick := settings{rounds: 3, idleConns: 2000, settle: 3 * time.Second, conns: 500, warmUp: time.Second, window: 3 * time.Second}

	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	isQuick := flags.Bool("quick", false, "fewer rounds, shorter windows, 2000 idle connections instead of 4000")
	only := flags.String("only", "", "scenarios, by comma: "+strings.Join(names(), ", "))
	chosen := flags.String("peers", "", "peers, by comma: nginx, nginx-4k, haproxy, haproxy-4k, mqedge")
	rounds := flags.Int("rounds", 0, "rounds of each scenario; 0 is 5, or 3 with --quick")
	out := flags.String("out", "", "folder for bench.json")
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
