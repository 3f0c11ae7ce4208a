//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/bench/report"
)

func TestThePlotOfAFileGivesTheTablesAndThePictureOfItsRun(t *testing.T) {
	dir := t.TempDir()
	result := report.Report{Host: host(), Scenarios: []report.Scenario{{Name: "msg", Title: "CPU per message", Unit: "µs", Rows: []report.Row{
		{Peer: "nginx", Family: "nginx", Rounds: []report.Measurement{{Value: 4}, {Value: 5}}},
	}}}}
	var first, again bytes.Buffer
	if err := write(result, dir, &first, io.Discard); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(dir, "bench.svg")
	drawn, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(picture); err != nil {
		t.Fatal(err)
	}
	if err := plot([]string{filepath.Join(dir, "bench.json")}, &again, io.Discard); err != nil {
		t.Fatal(err)
	}
	redrawn, err := os.ReadFile(picture)
	if err != nil || !bytes.Equal(drawn, redrawn) {
		t.Errorf("another picture, %v", err)
	}
	if first.String() != again.String() || !strings.Contains(again.String(), "| nginx | 4.00 | **4.50** | 5.00 |") {
		t.Errorf("%s\nfirst, and then\n%s", first.String(), again.String())
	}
	if err := plot(nil, io.Discard, io.Discard); err == nil {
		t.Error("no file gave no error")
	}
}

func TestTheHostIsDescribed(t *testing.T) {
	h := host()
	if h.Kernel == "" || h.Memory < 1<<20 || h.Cores < 1 || !strings.HasPrefix(h.Go, "go") {
		t.Errorf("%+v", h)
	}
}
