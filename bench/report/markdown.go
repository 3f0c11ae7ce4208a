package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/bench/stats"
)

// References are the peers that the others are set in relation to.
func References() []string { return []string{"nginx", "haproxy"} }

// Markdown writes the report as tables.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, Linux %s, %s\n", r.Host.CPU, r.Host.Cores, r.Host.Kernel, r.Host.Go)
	for _, name := range slices.Sorted(maps.Keys(r.Peers)) {
		fmt.Fprintf(&b, "- %s: %s\n", name, r.Peers[name])
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "- left out: %s\n", m)
	}
	for _, s := range r.Scenarios {
		s.markdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Scenario) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s: %s\n\n", s.Name, s.Title)
	references := s.references()
	b.WriteString("| proxy | min | median " + s.Unit + " | max |")
	for _, ref := range references {
		b.WriteString(" / " + ref.Peer + " |")
	}
	b.WriteString(" p50 µs | p99 µs | rounds |\n|---|---|---|---|" + strings.Repeat("---|", len(references)) + "---|---|---|\n")
	for _, row := range s.Rows {
		sum := stats.Summarize(row.values())
		if sum.N == 0 { // the remarks below say why
			fmt.Fprintf(b, "| %s | – | – | – |%s – | – | 0 of %d |\n", row.Peer, strings.Repeat(" – |", len(references)), len(row.Rounds))
			continue
		}
		fmt.Fprintf(b, "| %s | %.2f | **%.2f** | %.2f |", row.Peer, sum.Min, sum.Median, sum.Max)
		for _, ref := range references {
			b.WriteString(" " + number(stats.Ratio(row.values(), ref.values()), "%.2f") + " |")
		}
		fmt.Fprintf(b, " %s | %s | %s |\n", row.latency(func(m Measurement) float64 { return m.P50 }), row.latency(func(m Measurement) float64 { return m.P99 }), row.rounds(sum.N))
	}
	s.harness(b)
	s.remarks(b)
}

func (s Scenario) references() (rows []Row) {
	for _, row := range s.Rows {
		if slices.Contains(References(), row.Peer) {
			rows = append(rows, row)
		}
	}
	return rows
}

// rounds says how many gave a value, how many of those are marked, and how often a disturbed measurement was made again.
func (r Row) rounds(valid int) string {
	text := fmt.Sprint(valid)
	if valid < len(r.Rounds) {
		text = fmt.Sprintf("%d of %d", valid, len(r.Rounds))
	}
	marked, repeats := 0, 0
	for _, m := range r.Rounds {
		repeats += m.Repeats
		if m.Failed == "" && len(m.Remarks) > 0 {
			marked++
		}
	}
	if marked > 0 {
		text += fmt.Sprintf(", %d marked", marked)
	}
	if repeats > 0 {
		text += fmt.Sprintf(", %d repeated", repeats)
	}
	return text
}

func (r Row) latency(figure func(Measurement) float64) string {
	median := stats.Median(r.each(figure))
	if median == 0 {
		return "–"
	}
	return number(median, "%.0f")
}

// harness shows whether the measuring programs were in the way.
func (s Scenario) harness(b *strings.Builder) {
	var worst Measurement
	for _, row := range s.Rows {
		for _, m := range row.Rounds {
			worst.LateP99 = max(worst.LateP99, m.LateP99)
			worst.LoadCPU = max(worst.LoadCPU, m.LoadCPU)
			worst.SinkCPU = max(worst.SinkCPU, m.SinkCPU)
			worst.ProxyCPU = max(worst.ProxyCPU, m.ProxyCPU)
		}
	}
	if worst.LateP99 == 0 {
		return
	}
	fmt.Fprintf(b, "\nAt most, in any round: generator late by %.0f µs (p99); of one core the generator used %.0f %%, the sink %.0f %%, a proxy %.0f %%.\n",
		worst.LateP99, 100*worst.LoadCPU, 100*worst.SinkCPU, 100*worst.ProxyCPU)
}

func (s Scenario) remarks(b *strings.Builder) {
	var lines []string
	for _, row := range s.Rows {
		for i, m := range row.Rounds {
			for _, remark := range m.Remarks {
				lines = append(lines, fmt.Sprintf("- %s, round %d, marked: %s\n", row.Peer, i+1, remark))
			}
			if m.Failed != "" {
				lines = append(lines, fmt.Sprintf("- %s, round %d, failed: %s\n", row.Peer, i+1, m.Failed))
			}
		}
	}
	if len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, ""))
	}
}

func number(v float64, format string) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf(format, v)
}
