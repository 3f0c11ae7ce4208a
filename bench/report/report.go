package report

import (
	"fmt"
	"math"
	"time"
)

// Report is one run of the benchmark.
type Report struct {
	Host      Host              `json:"host"`
	Peers     map[string]string `json:"peers"`             // family to version
	Missing   []string          `json:"missing,omitempty"` // what did not take part, and why
	Scenarios []Scenario        `json:"scenarios"`
}

// Host is where it ran.
type Host struct {
	Time     time.Time `json:"time"`
	Kernel   string    `json:"kernel"`
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	Memory   int64     `json:"memory"`             // bytes
	Governor string    `json:"governor,omitempty"` // of the CPU's frequency, when the kernel has one
	Go       string    `json:"go"`
}

func (h Host) String() string {
	text := fmt.Sprintf("%s, %d cores, %.1f GiB, Linux %s, %s", h.CPU, h.Cores, float64(h.Memory)/(1<<30), h.Kernel, h.Go)
	if h.Governor != "" {
		text += ", governor " + h.Governor
	}
	return text
}

// Scenario is one thing measured for every peer. Less is better.
type Scenario struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Unit  string `json:"unit"`
	Rows  []Row  `json:"rows"`
}

// Row is a peer's measurements, one per round, the same rounds in every row.
type Row struct {
	Peer   string        `json:"peer"`
	Family string        `json:"family"` // the peer that this is a configuration of
	Rounds []Measurement `json:"rounds"`
}

// Measurement is one fresh proxy under one load.
type Measurement struct {
	Value       float64  `json:"value"`
	Failed      string   `json:"failed,omitempty"`    // why there is no value
	Remarks     []string `json:"remarks,omitempty"`   // what makes the value doubtful
	Disturbed   bool     `json:"disturbed,omitempty"` // by other work on the host
	Repeats     int      `json:"repeats,omitempty"`   // disturbed measurements thrown away before this one
	Connections int      `json:"connections"`

	Messages int64   `json:"messages,omitempty"` // that came through, both ways
	Rate     float64 `json:"rate,omitempty"`     // of messages or calls a second, where it was not given
	P50      float64 `json:"p50_us,omitempty"`   // of a message there and back, or a call, from the time it was due; or of setting up a connection
	P99      float64 `json:"p99_us,omitempty"`
	LateP99  float64 `json:"late_p99_us,omitempty"` // the generator's own share of it

	ProxyCPU float64 `json:"proxy_cpu,omitempty"` // share of one core in the measured time
	LoadCPU  float64 `json:"load_cpu,omitempty"`
	SinkCPU  float64 `json:"sink_cpu,omitempty"`
}

// Remark adds a doubt.
func (m *Measurement) Remark(format string, args ...any) {
	m.Remarks = append(m.Remarks, fmt.Sprintf(format, args...))
}

func (m Measurement) p50() float64  { return m.P50 }
func (m Measurement) p99() float64  { return m.P99 }
func (m Measurement) rate() float64 { return m.Rate }

// values are the figures of all rounds, NaN where a round failed.
func (r Row) values() []float64 {
	return r.each(func(m Measurement) float64 { return m.Value })
}

func (r Row) each(figure func(Measurement) float64) []float64 {
	var all []float64
	for _, m := range r.Rounds {
		if m.Failed != "" {
			all = append(all, math.NaN())
			continue
		}
		all = append(all, figure(m))
	}
	return all
}
