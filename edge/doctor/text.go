package doctor

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	width  = 100         // columns of text; commands are not broken
	margin = "         " // below the severity
)

// persistent is the file that keeps kernel settings over a reboot.
const persistent = "/etc/sysctl.d/60-mqedge.conf"

// Text is the report for people: a paragraph for each finding, and a last line.
func (r Report) Text() string {
	var b strings.Builder
	var keep []Setting
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-7s  %s\n", f.Severity, indented(f.What))
		if f.Why != "" {
			fmt.Fprintf(&b, "%s%s\n", margin, indented(f.Why))
		}
		for _, d := range f.Details {
			fmt.Fprintf(&b, "%s  %s\n", margin, printable(d))
		}
		for _, s := range f.Sysctls {
			fmt.Fprintf(&b, "%s$ sysctl -w %s=%s\n", margin, s.Key, quoted(s.Value))
			if !slices.Contains(keep, s) { // two upstreams may need the same
				keep = append(keep, s)
			}
		}
		for _, c := range f.Commands {
			fmt.Fprintf(&b, "%s$ %s\n", margin, printable(c))
		}
		b.WriteByte('\n')
	}
	if keep != nil {
		fmt.Fprintf(&b, "Kernel settings last until the next boot. To keep them, write into %s:\n", persistent)
		for _, s := range keep {
			fmt.Fprintf(&b, "  %s = %s\n", s.Key, s.Value)
		}
		b.WriteByte('\n')
	}
	verdict := "clean"
	if !r.Clean() {
		verdict = plural(r.count(Error), "error") + ", " + plural(r.count(Warning), "warning")
	}
	if n := r.count(Note); n > 0 {
		verdict += ", " + plural(n, "note")
	}
	fmt.Fprintf(&b, "%s: %s\n", verdict, wrapped("looked at "+strings.Join(r.Checked, ", "), width-utf8.RuneCountInString(verdict)-2, ""))
	return b.String()
}

// indented wraps text so that it stands in the margin.
func indented(text string) string { return wrapped(printable(text), width-len(margin), margin) }

// wrapped breaks text into lines of at most so many columns where it can, each
// but the first behind the margin.
func wrapped(text string, columns int, margin string) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > columns:
			b.WriteString("\n" + margin)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

// printable replaces what a terminal would act on: names of processes and of
// nodes are anybody's choice.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// quoted is text as one word of a shell.
func quoted(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,=@%+", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
