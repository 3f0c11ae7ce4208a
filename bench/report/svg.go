package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/bench/stats"
)

// Sizes of the chart in pixels. Text is set in whatever sans-serif font there is, so what may grow has room.
const (
	chartMargin = 16
	panelWidth  = 440
	panelGap    = 24
	panelHead   = 44 // name and title
	panelFoot   = 18
	rowHeight   = 20
	barHeight   = 11
	labelWidth  = 88
	valueWidth  = 64
	barsWidth   = panelWidth - labelWidth - valueWidth
	footLine    = 16
	footChars   = 140
)

// gray is read equally well on white and on black: the picture has no background of its own.
const gray = "#767676"

// SVG draws a bar chart for each scenario that has figures.
func (r Report) SVG(w io.Writer) error {
	drawn := slices.DeleteFunc(slices.Clone(r.Scenarios), func(s Scenario) bool { return s.scale() == 0 })
	var b strings.Builder
	y := chartMargin
	for pair := range slices.Chunk(drawn, 2) {
		height := 0
		for i, s := range pair {
			s.panel(&b, chartMargin+i*(panelWidth+panelGap), y)
			height = max(height, panelHead+rowHeight*len(s.Rows)+panelFoot)
		}
		y += height
	}
	for _, line := range r.footer() {
		y += footLine
		text(&b, chartMargin, y, "", shortened(line))
	}
	width, height := 2*(chartMargin+panelWidth)+panelGap, y+chartMargin
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, 'DejaVu Sans', Arial, sans-serif" font-size="11" fill="%s">
<title>What a proxy costs: less is better</title>
%s</svg>
`, width, height, width, height, gray, b.String())
	return err
}

func (s Scenario) panel(b *strings.Builder, x, y int) {
	text(b, x, y+14, `font-weight="bold" font-size="13"`, s.Name)
	text(b, x, y+30, "", s.Title+", "+s.Unit)
	scale := s.scale()
	at := func(v float64) float64 { return float64(x+labelWidth) + v/scale*barsWidth }
	for i, row := range s.Rows {
		top := y + panelHead + i*rowHeight
		middle, baseline := float64(top)+barHeight/2.0, top+barHeight-1
		weight := ""
		if !slices.Contains(References(), row.Family) {
			weight = ` font-weight="bold"`
		}
		text(b, x+labelWidth-8, baseline, `text-anchor="end"`+weight, row.Peer)
		sum := stats.Summarize(row.values())
		if sum.N == 0 {
			text(b, x+labelWidth, baseline, weight, "no figure")
			continue
		}
		color := row.color()
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s" fill-opacity="0.5"/>`+"\n",
			x+labelWidth, top, at(sum.Median)-at(0), barHeight, color)
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6" stroke="%s" stroke-width="1.5" fill="none"/>`+"\n",
			at(sum.Min), middle, at(sum.Max), at(sum.Min), middle-3, at(sum.Max), middle-3, color)
		text(b, int(at(sum.Max))+8, baseline, strings.TrimSpace(weight), figure(sum.Median))
	}
}

// scale is the largest figure, 0 when there is none.
func (s Scenario) scale() (largest float64) {
	for _, row := range s.Rows {
		largest = max(largest, stats.Summarize(row.values()).Max)
	}
	return largest
}

func (r Row) color() string {
	switch r.Family {
	case "nginx":
		return "#3d9a5f"
	case "haproxy":
		return "#4f86c6"
	default:
		return "#d9722e"
	}
}

func (r Report) footer() []string {
	lines := []string{"Bar: median over rounds; line: smallest to largest; less is better.", r.Host.String()}
	for _, name := range slices.Sorted(maps.Keys(r.Peers)) {
		lines = append(lines, name+": "+r.Peers[name])
	}
	return lines
}

func text(b *strings.Builder, x, y int, attributes, content string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>`, x, y, attributes)
	_ = xml.EscapeText(b, []byte(content)) // a strings.Builder takes everything
	b.WriteString("</text>\n")
}

func shortened(line string) string {
	if runes := []rune(line); len(runes) > footChars {
		return string(runes[:footChars-1]) + "…"
	}
	return line
}

// figure has three digits that count.
func figure(v float64) string {
	decimals := 2 - int(math.Floor(math.Log10(max(v, 0.01))))
	return fmt.Sprintf("%.*f", min(max(decimals, 0), 3), v)
}
