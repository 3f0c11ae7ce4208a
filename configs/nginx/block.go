package nginx

import (
	"strings"

	"github.com/mqedge/mqedge/configs/convert"
)

// add tells of d, which needs no other word then.
func (im *importer) add(d *directive, format string, args ...any) {
	d.used = true
	im.Note(d.place(), format, args...)
}

func (d *directive) place() convert.Place {
	return convert.Place{File: d.file, Line: d.line, Word: d.name, Order: d.order}
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
func (im *importer) one(d *directive, name string) *directive {
	found := d.inherited(name)
	if len(found) == 0 {
		return nil
	}
	for _, again := range found[1:] {
		im.add(again, "is there twice, which nginx refuses: the first is taken")
	}
	if len(found[0].args) != 1 {
		im.add(found[0], "is not understood, one value is expected: left out")
		return nil
	}
	return found[0]
}

// on returns whether a flag is on; a directive that is not there is as normal.
func (im *importer) on(d *directive, name string, normal bool) bool {
	switch found := im.one(d, name); {
	case found == nil:
		return normal
	case strings.EqualFold(found.args[0], "on"):
		return true
	case strings.EqualFold(found.args[0], "off"):
		return false
	default:
		im.add(found, "%s is neither on nor off: left out", convert.Shown(found.args[0]))
		return normal
	}
}

// word returns the value of a directive, or "". One with a variable in it has none.
func (im *importer) word(d *directive, name string) (string, *directive) {
	found := im.one(d, name)
	if found == nil {
		return "", nil
	}
	if strings.Contains(found.args[0], "$") {
		im.add(found, "mqedge knows no variables here: left out")
		return "", found
	}
	if strings.ContainsFunc(found.args[0], convert.Control) {
		im.add(found, "holds a control character: left out")
		return "", found
	}
	return found.args[0], found
}
