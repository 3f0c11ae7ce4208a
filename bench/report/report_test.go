package report_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/bench/report"
)

func example() report.Report {
	rounds := func(values ...float64) (all []report.Measurement) {
		for _, v := range values {
			all = append(all, report.Measurement{Value: v, P50: 100, P99: 900, LateP99: 40, LoadCPU: 0.4, SinkCPU: 0.2, ProxyCPU: 0.3})
		}
		return all
	}
	marked := rounds(10, 22, 9)
	marked[1].Remark("lost %d of %d messages", 3, 1000)
	marked[2].Repeats = 2
	broken := rounds(1, 1, 1)
	broken[2] = report.Measurement{Failed: "it ended at once"}
	return report.Report{
		Host:    report.Host{CPU: "a CPU", Cores: 2, Memory: 3 << 29, Kernel: "6.1", Go: "go1.26", Governor: "performance"},
		Peers:   map[string]string{"nginx": "nginx/1.22.1"},
		Missing: []string{"haproxy does not run"},
		Scenarios: []report.Scenario{{Name: "msg", Title: "CPU per message", Unit: "µs", Rows: []report.Row{
			{Peer: "nginx", Family: "nginx", Rounds: rounds(20, 40, 20)},
			{Peer: "mqedge", Family: "mqedge", Rounds: marked},
			{Peer: "haproxy", Family: "haproxy", Rounds: broken},
			{Peer: "gone", Family: "gone", Rounds: []report.Measurement{{Failed: "no such file"}}},
		}}, {Name: "bulk", Title: "CPU per GiB", Unit: "s/GiB", Rows: []report.Row{
			{Peer: "nginx", Family: "nginx", Rounds: []report.Measurement{{Value: 1, LoadCPU: 0.9}, {Value: 1}}},
			{Peer: "nginx-64k", Family: "nginx", Rounds: []report.Measurement{{Value: 0.5}, {Value: 2}}},
			{Peer: "haproxy", Family: "haproxy", Rounds: []report.Measurement{{Value: 4}, {Value: 0.8}}},
			{Peer: "mqedge", Family: "mqedge", Rounds: []report.Measurement{{Value: 0.5}, {Value: 0.5}}},
		}}, {Name: "calls", Title: "CPU per call", Unit: "µs", Rows: []report.Row{
			{Peer: "nginx", Family: "nginx", Rounds: []report.Measurement{{Value: 8, P50: 10, P99: 20, Rate: 40_000}, {Value: 8, P50: 10, P99: 20, Rate: 50_000}}},
		}}},
	}
}

func TestATableShowsSpreadRatiosAndEveryDoubt(t *testing.T) {
	var b strings.Builder
	if err := example().Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| proxy | min | median µs | max | / nginx | / haproxy | / best | p50 µs | p99 µs | rounds |\n|---|---|---|---|---|---|---|---|---|---|\n",
		"| nginx | 20.00 | **20.00** | 40.00 | 1.00 | 30.00 | 20.00 | 100 | 900 | 3 |",
		"| mqedge | 9.00 | **10.00** | 22.00 | 0.50 | 16.00 | 10.00 | 100 | 900 | 3, 1 marked, 2 repeated |",
		"| haproxy | 1.00 | **1.00** | 1.00 | 0.04 | 1.00 | 1.00 | 100 | 900 | 2 of 3 |",
		"| gone | – | – | – | – | – | – | – | – | 0 of 1 |",
		"| proxy | min | median s/GiB | max | / nginx | / haproxy | / best | rounds |\n",
		"| mqedge | 0.50 | **0.50** | 0.50 | 0.75 | 0.38 | 0.81 | 2 |",
		"At most, in any round: of one core the generator used 90 %",
		"| / nginx | p50 µs | p99 µs | calls/s | rounds |\n",
		"| nginx | 8.00 | **8.00** | 8.00 | 1.00 | 10 | 20 | 45000 | 2 |",
		"a CPU, 2 cores, 1.5 GiB, Linux 6.1, go1.26, governor performance\n",
		"- mqedge, round 2, marked: lost 3 of 1000 messages",
		"- haproxy, round 3, failed: it ended at once",
		"- left out: haproxy does not run",
		"generator late by 40 µs (p99); of one core the generator used 40 %, the sink 20 %, a proxy 30 %",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing: %s\nin:\n%s", want, b.String())
		}
	}
}

func TestAReportSurvivesJSON(t *testing.T) {
	raw, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var back report.Report
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	var want, got strings.Builder
	if err := example().Markdown(&want); err != nil {
		t.Fatal(err)
	}
	if err := back.Markdown(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("after JSON:\n%s\nwant:\n%s", got.String(), want.String())
	}
}
