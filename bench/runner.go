//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mqedge/mqedge/bench/peers"
	"github.com/mqedge/mqedge/bench/report"
)

// runner works through the scenarios.
type runner struct {
	settings
	dir      string // for the files of one run
	certs    map[keyType]*certificate
	progress io.Writer
	beds     int
}

// benchmark measures and writes the tables to out; what it is doing goes to progress.
func benchmark(ctx context.Context, s settings, out, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "bench-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	certs, err := newCertificates(dir)
	if err != nil {
		return err
	}
	r := &runner{settings: s, dir: dir, certs: certs, progress: progress}

	result := report.Report{Host: host()}
	present, err := r.present(ctx, &result)
	if err != nil {
		return err
	}
	for _, sc := range s.chosen() {
		measured, err := r.scenario(ctx, sc, present)
		if err != nil {
			return err
		}
		result.Scenarios = append(result.Scenarios, measured)
	}
	return write(result, s.out, out, progress)
}

// present finds the peers that can run, and says which cannot.
func (r *runner) present(ctx context.Context, result *report.Report) (present []peers.Peer, err error) {
	result.Peers = make(map[string]string)
	leaveOut := func(err error) {
		result.Missing = append(result.Missing, err.Error())
		fmt.Fprintln(r.progress, "left out:", err)
	}
	binary := r.mqedge
	if binary == "" && wanted(r.peers, "mqedge") {
		if binary, err = build(ctx, r.dir); err != nil {
			leaveOut(err)
		}
	}
	for _, p := range peers.All(binary) {
		if !wanted(r.peers, p.Name) {
			continue
		}
		version, err := p.Version(ctx)
		if err != nil {
			leaveOut(err)
			continue
		}
		result.Peers[p.Family] = version
		present = append(present, p)
	}
	if len(present) == 0 {
		return nil, errors.New("no proxy to measure")
	}
	return present, nil
}

// build makes the mqedge of the module that the working directory lies in.
func build(ctx context.Context, dir string) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("mqedge: go env GOMOD: %w; give a binary with --mqedge", err)
	}
	binary := filepath.Join(dir, "mqedge")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/mqedge")
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mqedge: go build ./cmd/mqedge: %w: %s; give a binary with --mqedge", err, strings.Join(strings.Fields(string(said)), " "))
	}
	return binary, nil
}

// scenario measures all peers in each round, another one first each time: what drifts on the host meets all alike.
func (r *runner) scenario(ctx context.Context, sc scenario, present []peers.Peer) (report.Scenario, error) {
	measured := report.Scenario{Name: sc.name, Title: sc.title, Unit: sc.unit}
	var taking []peers.Peer
	for _, p := range present {
		if !sc.takes(p, r.settings) {
			continue
		}
		taking = append(taking, p)
		measured.Rows = append(measured.Rows, report.Row{Peer: p.Name, Family: p.Family})
	}
	for round := range sc.rounds(r.settings) {
		for i := range taking {
			which := (i + round) % len(taking)
			m, err := r.measureUndisturbed(ctx, sc, taking[which], uint64(round+1)<<8)
			if ctx.Err() != nil {
				return measured, ctx.Err()
			}
			if err != nil {
				m.Failed = strings.Join(strings.Fields(err.Error()), " ") // one line of a table
			}
			measured.Rows[which].Rounds = append(measured.Rows[which].Rounds, m)
			fmt.Fprintf(r.progress, "%s, round %d, %s: %.2f %s %s%s\n", sc.name, round+1, taking[which].Name, m.Value, sc.unit, strings.Join(m.Remarks, "; "), m.Failed)
		}
	}
	return measured, nil
}

// attempts are made at a measurement before a disturbed one is taken, marked.
const attempts = 3

func (r *runner) measureUndisturbed(ctx context.Context, sc scenario, p peers.Peer, seed uint64) (m report.Measurement, err error) {
	for repeat := range attempts {
		m, err = r.measure(ctx, sc, p, seed)
		m.Repeats = repeat
		if err != nil || !m.Disturbed {
			break
		}
		fmt.Fprintf(r.progress, "%s, %s, disturbed: %s\n", sc.name, p.Name, strings.Join(m.Remarks, "; "))
	}
	return m, err
}

func (r *runner) measure(ctx context.Context, sc scenario, p peers.Peer, seed uint64) (report.Measurement, error) {
	r.beds++
	opts := bedOptions{dir: filepath.Join(r.dir, fmt.Sprint(r.beds)), peer: p, cert: r.certs[sc.key], grpc: sc.grpc, seed: seed}
	if err := os.Mkdir(opts.dir, 0o755); err != nil {
		return report.Measurement{}, err
	}
	b, err := newBed(ctx, opts)
	defer b.close()
	if err != nil {
		return report.Measurement{}, err
	}
	m, err := sc.measure(ctx, b, r.settings)
	if err != nil {
		return m, err
	}
	if sc.grpc {
		return m, b.checkProviders(&m)
	}
	return m, b.checkSink(&m)
}
