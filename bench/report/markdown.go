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

// References are the families of peers that the others are set in relation to.
func References() []string { return []string{"nginx", "haproxy"} }

// Markdown writes the report as tables.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Host)
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
	references, latency, rate := s.references(), s.has(Measurement.p50), s.has(Measurement.rate)
	head := []string{"proxy", "min", "median " + s.Unit, "max"}
	for _, ref := range references {
		head = append(head, "/ "+ref.name)
	}
	if latency {
		head = append(head, "p50 µs", "p99 µs")
	}
	if rate {
		head = append(head, "calls/s")
	}
	head = append(head, "rounds")
	line(b, head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range s.Rows {
		sum := stats.Summarize(row.values())
		if sum.N == 0 { // the remarks below say why
			cells := slices.Repeat([]string{"–"}, len(head))
			cells[0], cells[len(cells)-1] = row.Peer, fmt.Sprintf("0 of %d", len(row.Rounds))
			line(b, cells)
			continue
		}
		cells := []string{row.Peer, number(sum.Min, "%.2f"), number(sum.Median, "**%.2f**"), number(sum.Max, "%.2f")}
		for _, ref := range references {
			cells = append(cells, number(stats.Ratio(row.values(), ref.best), "%.2f"))
		}
		if latency {
			cells = append(cells, row.median(Measurement.p50), row.median(Measurement.p99))
		}
		if rate {
			cells = append(cells, row.median(Measurement.rate))
		}
		line(b, append(cells, row.rounds(sum.N)))
	}
	s.harness(b)
	s.remarks(b)
}

func line(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// reference is what rows are set in relation to: in each round the best figure of some others.
type reference struct {
	name string
	best []float64
}

// references are each family, in whichever configuration was best in a round, and the best of all of them.
func (s Scenario) references() (all []reference) {
	var every [][]float64
	for _, family := range References() {
		var series [][]float64
		for _, row := range s.Rows {
			if row.Family == family {
				series = append(series, row.values())
			}
		}
		if len(series) > 0 {
			all = append(all, reference{family, stats.Best(series...)})
			every = append(every, series...)
		}
	}
	if len(all) > 1 {
		all = append(all, reference{"best", stats.Best(every...)})
	}
	return all
}

// has reports whether a figure was measured.
func (s Scenario) has(figure func(Measurement) float64) bool {
	return slices.ContainsFunc(s.Rows, func(r Row) bool {
		return slices.ContainsFunc(r.Rounds, func(m Measurement) bool { return figure(m) > 0 })
	})
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

func (r Row) median(figure func(Measurement) float64) string {
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
	if worst.LoadCPU == 0 {
		return
	}
	b.WriteString("\nAt most, in any round: ")
	if worst.LateP99 > 0 {
		fmt.Fprintf(b, "generator late by %.0f µs (p99); ", worst.LateP99)
	}
	fmt.Fprintf(b, "of one core the generator used %.0f %%, the sink %.0f %%, a proxy %.0f %%.\n", 100*worst.LoadCPU, 100*worst.SinkCPU, 100*worst.ProxyCPU)
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
