package admin

import (
	"slices"
	"strings"
	"unicode"
)

const (
	gap       = "  " // between columns
	narrowest = 12   // no column is made narrower
)

// page is the text so far.
type page struct {
	width int
	paint func(style, text string) string // nil = no styles
	text  strings.Builder
}

// row is a line of a table, with a note that goes behind it or, where there is no room, below it.
type row struct {
	cells []string
	note  string
	style string
}

// table aligns rows under the first of them, whose cells begin with ">" where the column is of numbers.
func (p *page) table(rows []row) {
	header := rows[0].cells
	widths := make([]int, len(header))
	right := make([]bool, len(header))
	for i, h := range header {
		header[i], right[i] = strings.CutPrefix(h, ">")
	}
	for _, r := range rows {
		for i := range r.cells {
			r.cells[i] = printable(r.cells[i])
			widths[i] = max(widths[i], columns(r.cells[i]))
		}
	}
	// An overlong name would push the numbers of every row off the screen.
	for sum(widths)+len(gap)*(len(widths)-1) > p.width && slices.Max(widths) > narrowest {
		widths[slices.Index(widths, slices.Max(widths))]--
	}
	p.text.WriteByte('\n')
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r.cells {
			if i > 0 {
				line.WriteString(gap)
			}
			cell = keepEnd(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-columns(cell))
			if right[i] {
				line.WriteString(pad + cell)
				continue
			}
			line.WriteString(cell + pad)
		}
		p.noted(strings.TrimRight(line.String(), " "), printable(r.note), r.style)
	}
}

func (p *page) noted(line, note, style string) {
	paint := func(s string) string {
		if p.paint == nil {
			return s
		}
		return p.paint(style, keepStart(s, p.width))
	}
	if note != "" && columns(line)+len(gap)+columns(note) <= p.width {
		p.text.WriteString(paint(line+gap+note) + "\n")
		return
	}
	p.text.WriteString(paint(line) + "\n")
	if note != "" {
		p.line(4, note)
	}
}

// line writes text from a column on, broken between words.
func (p *page) line(indent int, text string) {
	room := max(p.width-indent, 20)
	used := 0
	for _, word := range strings.Fields(printable(text)) {
		n := columns(word)
		switch {
		case used == 0:
			p.text.WriteString(strings.Repeat(" ", indent))
		case used+1+n > room:
			p.text.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		default:
			p.text.WriteByte(' ')
			used++
		}
		p.text.WriteString(word)
		used += n
	}
	p.text.WriteByte('\n')
}

// printable takes the power over a terminal from text that came from outside.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '?'
	}, s)
}

func sum(widths []int) int {
	total := 0
	for _, w := range widths {
		total += w
	}
	return total
}
