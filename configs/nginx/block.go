package nginx

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

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

// notes are kept once each: a directive of an outer block is looked at for every server in it.
type notes []Note

// add tells of d, which needs no other word then.
func (n *notes) add(d *directive, format string, args ...any) {
	d.used = true
	note := Note{d.file, d.line, shown(d.name), fmt.Sprintf(format, args...), d.order}
	if !slices.Contains(*n, note) {
		*n = append(*n, note)
	}
}

func (n notes) sorted() []Note {
	slices.SortStableFunc(n, func(a, b Note) int { return cmp.Compare(a.order, b.order) })
	return n
}

// longest is how much of a text is shown.
const longest = 200

// shown is a text of the file as a line of a terminal can have it.
func shown(s string) string {
	quoted := fmt.Sprintf("%q", s)
	if quoted == `"`+s+`"` && s != "" && len(s) <= longest {
		return s
	}
	if len(quoted) > longest {
		return strings.ToValidUTF8(quoted[:longest], "") + `…"`
	}
	return quoted
}

// all returns the directives of that name in the block itself.
func (d *directive) all(name string) []*directive {
	var found []*directive
	for _, child := range d.block {
		if child.name == name {
			child.used = true
			found = append(found, child)
		}
	}
	return found
}

// inherited returns those of the block itself, or else those of the nearest block around it that has some: inside
// stream and http, nginx takes none from further out.
func (d *directive) inherited(name string) []*directive {
	for at := d; at != nil && at.parent != nil; at = at.parent {
		if found := at.all(name); found != nil {
			return found
		}
	}
	return nil
}

// one returns the only directive of that name that is in force, if it has one value.
func (n *notes) one(d *directive, name string) *directive {
	found := d.inherited(name)
	if len(found) == 0 {
		return nil
	}
	for _, again := range found[1:] {
		n.add(again, "is there twice, which nginx refuses: the first is taken")
	}
	if len(found[0].args) != 1 {
		n.add(found[0], "is not understood, one value is expected: left out")
		return nil
	}
	return found[0]
}

// on returns whether a flag is on; a directive that is not there is as normal.
func (n *notes) on(d *directive, name string, normal bool) bool {
	switch found := n.one(d, name); {
	case found == nil:
		return normal
	case strings.EqualFold(found.args[0], "on"):
		return true
	case strings.EqualFold(found.args[0], "off"):
		return false
	default:
		n.add(found, "%s is neither on nor off: left out", shown(found.args[0]))
		return normal
	}
}

// word returns the value of a directive, or "". One with a variable in it has none.
func (n *notes) word(d *directive, name string) (string, *directive) {
	found := n.one(d, name)
	if found == nil {
		return "", nil
	}
	if strings.Contains(found.args[0], "$") {
		n.add(found, "mqedge knows no variables here: left out")
		return "", found
	}
	if strings.ContainsFunc(found.args[0], control) {
		n.add(found, "holds a control character: left out")
		return "", found
	}
	return found.args[0], found
}
