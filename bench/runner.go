//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mqedge/mqedge/bench/peers"
	"github.com/mqedge/mqedge/bench/report"
)

// runner works through the scenarios.
type runner struct {
	settings
	dir      string // for the files of one run
	cert     *certificate
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
	cert, err := newCertificate(dir)
	if err != nil {
		return err
	}
	r := &runner{settings: s, dir: dir, cert: cert, progress: progress}

	result := report.Report{Host: host()}
	present, err := r.present(ctx, &result)
	if err != nil {
		return err
	}
	for _, sc := range scenarios() {
		if !wanted(s.only, sc.name) {
			continue
		}
		measured, err := r.scenario(ctx, sc, present)
		if err != nil {
			return err
		}
		result.Scenarios = append(result.Scenarios, measured)
	}
	if err := result.Markdown(out); err != nil {
		return err
	}
	return r.writeJSON(result)
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
		if binary, err = r.build(ctx); err != nil {
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
		result.Peers[p.Name] = version
		present = append(present, p)
	}
	if len(present) == 0 {
		return nil, errors.New("no proxy to measure")
	}
	return present, nil
}

// build makes the mqedge of the module that the working directory lies in.
func (r *runner) build(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("mqedge: go env GOMOD: %w; give a binary with --mqedge", err)
	}
	binary := filepath.Join(r.dir, "mqedge")
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
		if p.Tuned && !sc.memory && !r.tuned {
			continue
		}
		taking = append(taking, p)
		measured.Rows = append(measured.Rows, report.Row{Peer: p.Name})
	}
	for round := range sc.rounds(r.settings) {
		for i := range taking {
			which := (i + round) % len(taking)
			m, err := r.measureUndisturbed(ctx, sc, taking[which], uint64(round+1)<<8)
			if ctx.Err() != nil {
				return measured, ctx.Err()
			}
			if err != nil {
				m.Failed = err.Error()
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
		fmt.Fprintf(r.progress, "%s, %s: disturbed, the generator was late by %.0f µs (p99)\n", sc.name, p.Name, m.LateP99)
	}
	return m, err
}

func (r *runner) measure(ctx context.Context, sc scenario, p peers.Peer, seed uint64) (report.Measurement, error) {
	r.beds++
	opts := bedOptions{dir: filepath.Join(r.dir, fmt.Sprint(r.beds)), peer: p, seed: seed}
	if sc.tls {
		opts.cert = r.cert
	}
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
	return m, b.checkSink(&m)
}

func (r *runner) writeJSON(result report.Report) error {
	dir := r.out
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "bench-result-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "bench.json")
	fmt.Fprintln(r.progress, "written:", path)
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func host() report.Host {
	h := report.Host{Time: time.Now().UTC(), Cores: runtime.NumCPU(), Go: runtime.Version()}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = strings.TrimSpace(string(release))
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(info), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		h.CPU = strings.TrimLeft(line, "\t :")
	}
	return h
}
