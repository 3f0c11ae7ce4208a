//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/peers"
	"github.com/mqedge/mqedge/bench/process"
)

// vitals are what must not grow for ever.
type vitals struct {
	connections, goroutines, fds int
	pss                          int64
}

// back reports whether nothing is left over since the beginning. Memory is not asked for: Go keeps some for the next burst.
func (v vitals) back(beginning vitals) bool {
	return v.connections == 0 && v.goroutines <= beginning.goroutines+soakSlack && v.fds <= beginning.fds+soakSlack
}

func (v vitals) highest(other vitals) vitals {
	return vitals{
		connections: max(v.connections, other.connections), goroutines: max(v.goroutines, other.goroutines),
		fds: max(v.fds, other.fds), pss: max(v.pss, other.pss),
	}
}

// readVitals asks a mqedge for what it knows itself and the kernel for the rest.
func readVitals(ctx context.Context, p *peers.Process) (v vitals, err error) {
	if v.goroutines, v.connections, err = scrape(ctx, "http://"+p.AdminAddr+"/metrics"); err != nil {
		return v, fmt.Errorf("metrics of mqedge: %w", err)
	}
	if v.fds, err = process.FDs(p.PID()); err != nil {
		return v, err
	}
	v.pss, err = process.PSS(p.PID())
	return v, err
}

func scrape(ctx context.Context, url string) (goroutines, connections int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	request.Close = true // a connection kept open would count
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, 0, err
	}
	if goroutines, err = gauge(string(text), "go_goroutines"); err != nil {
		return 0, 0, err
	}
	connections, err = gauge(string(text), "mqedge_connections_active")
	return goroutines, connections, err
}

// gauge is the sum over all labels of a metric in Prometheus' text format.
func gauge(text, name string) (sum int, err error) {
	found := false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum, found = sum+int(value), true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return sum, nil
}

// watch writes a table of the vitals of a soak as it goes.
type watch struct {
	bed *bed
	out io.Writer
}

func (w *watch) begin(ctx context.Context) (vitals, error) {
	if err := w.bed.calm(ctx); err != nil {
		return vitals{}, err
	}
	now, err := readVitals(ctx, w.bed.proxy)
	if err != nil {
		return now, err
	}
	fmt.Fprint(w.out, "| time | connections | goroutines | files | PSS MiB |\n|---|---|---|---|---|\n")
	w.line("before", now)
	return now, nil
}

// during returns what the load generator says in the end.
func (w *watch) during(ctx context.Context, opts load.SoakOptions) (load.SoakResult, error) {
	var (
		reply load.Reply
		err   error
		done  = make(chan struct{})
	)
	go func() {
		defer close(done)
		reply, err = w.bed.ask(load.Request{Soak: &opts})
	}()
	peak, watchErr := w.until(ctx, done)
	if watchErr != nil {
		w.bed.load.kill()
		<-done
		return load.SoakResult{}, watchErr
	}
	if err != nil {
		return load.SoakResult{}, err
	}
	w.line("at most", peak)
	return *reply.Soak, nil
}

func (w *watch) until(ctx context.Context, done <-chan struct{}) (peak vitals, err error) {
	tick := time.NewTicker(soakSample)
	defer tick.Stop()
	began, reported := time.Now(), time.Duration(0)
	for {
		select {
		case <-done:
			return peak, nil
		case <-ctx.Done():
			return peak, ctx.Err()
		case <-tick.C:
		}
		now, err := readVitals(ctx, w.bed.proxy)
		if err != nil {
			return peak, err
		}
		peak = peak.highest(now)
		if time.Since(began) >= reported+soakReport {
			reported += soakReport
			w.line(reported.String(), now)
		}
	}
}

// end waits until nothing is left over, or for as long as that may take.
func (w *watch) end(ctx context.Context, beginning vitals) (vitals, error) {
	closed := time.Now()
	for {
		now, err := readVitals(ctx, w.bed.proxy)
		if err != nil {
			return now, err
		}
		if now.back(beginning) || time.Since(closed) > soakBack {
			w.line(fmt.Sprintf("%.1f s after", time.Since(closed).Seconds()), now)
			return now, nil
		}
		if err := pause(ctx, soakSample/10); err != nil {
			return now, err
		}
	}
}

func (w *watch) line(when string, v vitals) {
	fmt.Fprintf(w.out, "| %s | %d | %d | %d | %.1f |\n", when, v.connections, v.goroutines, v.fds, float64(v.pss)/(1<<20))
}
