package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Place is where something stands in what is imported.
type Place struct {
	File  string
	Line  int
	Word  string // the directive
	Order int    // in which the other program reads it
}

// String returns FILE:LINE.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Note tells of a directive that was not carried over, or not as it was.
type Note struct {
	File      string
	Line      int
	Directive string
	Text      string // why, and what mqedge does instead

	order int
}

// String returns FILE:LINE: directive: text.
func (n Note) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", n.File, n.Line, n.Directive, n.Text)
}

// Note tells of what stands at a place, once: something of an outer section is looked at for every part of it.
func (d *Draft) Note(at Place, format string, args ...any) {
	note := Note{at.File, at.Line, Shown(at.Word), fmt.Sprintf(format, args...), at.Order}
	if !slices.Contains(d.notes, note) {
		d.notes = append(d.notes, note)
	}
}

// Notes returns all there are, in the order in which the other program reads what they are about.
func (d *Draft) Notes() []Note {
	slices.SortStableFunc(d.notes, func(a, b Note) int { return cmp.Compare(a.order, b.order) })
	return d.notes
}

// longest is how much of a text is shown.
const longest = 200

// Shown is a text of the file as a line of a terminal can have it.
func Shown(s string) string {
	quoted := fmt.Sprintf("%q", s)
	if quoted == `"`+s+`"` && s != "" && len(s) <= longest {
		return s
	}
	if len(quoted) > longest {
		return strings.ToValidUTF8(quoted[:longest], "") + `…"`
	}
	return quoted
}
