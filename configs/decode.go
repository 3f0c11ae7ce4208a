package configs

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// path says where a value stands, twice: as the operator finds it (listeners.mqtts.bind[0]) and as the format has it
// (listeners.*.bind[]).
type path struct{ text, schema string }

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (p path) key(key string) path {
	return path{join(p.text, key), join(p.schema, key)}
}

func (p path) name(name string) path {
	return path{namePath(p.text, name), join(p.schema, "*")}
}

func (p path) index(i int) path {
	return path{fmt.Sprintf("%s[%d]", p.text, i), p.schema + "[]"}
}

// namePath quotes a name that would read as more than one step of a path.
func namePath(parent, name string) string {
	if !plainName.MatchString(name) {
		name = strconv.Quote(name)
	}
	return join(parent, name)
}

func join(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}

// decoder lays a document over the types of config.go.
type decoder struct {
	*report
	dir  string
	keys []string // every key of the format
}

type field struct {
	key   string
	index int
	tag   reflect.StructTag
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			fields = append(fields, field{key, i, t.Field(i).Tag})
		}
	}
	return fields
}

// section decodes a mapping with fixed keys into a struct that holds the defaults.
func (d *decoder) section(n *yaml.Node, v reflect.Value, p path) {
	if !d.is(n, yaml.MappingNode, p) {
		return
	}
	fields := fieldsOf(v.Type())
	named := map[string]field{}
	for _, f := range fields {
		named[f.key] = f
	}
	broken := map[string]bool{}
	for _, e := range d.entries(n, p) {
		at := p.key(e.key.Value)
		d.mark(e, at)
		f, known := named[e.key.Value]
		if !known {
			d.unknown(e, fields, at)
			continue
		}
		before := len(d.problems)
		d.value(e.value, v.Field(f.index), f.tag, at)
		broken[f.key] = len(d.problems) > before
	}
	for _, f := range fields {
		remedy, required := f.tag.Lookup("required")
		if !required || broken[f.key] || !empty(v.Field(f.index)) {
			continue
		}
		at := p.key(f.key).text
		if _, written := d.at[at]; written {
			d.errorf(at, "is empty: %s", remedy)
		} else {
			d.errorf(at, "is missing: %s", remedy)
		}
	}
}

func empty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0
}

// mark remembers where a key is. Problems of a scalar are shown at the value, those of a section at its key.
func (d *decoder) mark(e entry, p path) {
	n := e.value
	if n.Kind != yaml.ScalarNode {
		n = e.key
	}
	d.at[p.text] = position{n.Line, n.Column}
}

// value decodes n into v. After an error v keeps its default.
func (d *decoder) value(n *yaml.Node, v reflect.Value, tag reflect.StructTag, p path) {
	if isNull(n) {
		d.errorf(p.text, "has no value: write one, or remove it")
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(n, v, tag, p)
	case v.Kind() == reflect.Slice:
		d.list(n, v, tag, p)
	case v.Kind() == reflect.Map:
		d.names(n, v, p)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		v.Elem().Set(defaultOf(v.Type().Elem()))
		d.section(n, v.Elem(), p)
	default:
		d.section(n, v, p)
	}
}

func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return t == reflect.TypeFor[netip.Prefix]()
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, tag reflect.StructTag, p path) {
	item := v.Type().Elem()
	if n.Kind == yaml.ScalarNode && tag.Get("single") != "" {
		one := reflect.New(item).Elem()
		d.scalar(n, one, tag, p)
		if !one.IsZero() {
			v.Set(reflect.Append(v, one))
		}
		return
	}
	if !d.is(n, yaml.SequenceNode, p) {
		return
	}
	v.SetZero() // what is written takes the place of a default
	for i, child := range n.Content {
		at := p.index(i)
		d.at[at.text] = position{child.Line, child.Column}
		element := reflect.New(item).Elem()
		element.Set(defaultOf(item))
		before := len(d.problems)
		d.value(child, element, tag, at)
		if isScalar(item) && element.IsZero() && len(d.problems) == before {
			d.errorf(at.text, "is empty: write a value, or remove the item")
		}
		v.Set(reflect.Append(v, element))
	}
}

// names decodes a mapping whose keys the operator chose.
func (d *decoder) names(n *yaml.Node, v reflect.Value, p path) {
	if !d.is(n, yaml.MappingNode, p) {
		return
	}
	v.SetZero() // {} is as nothing written
	for _, e := range d.entries(n, p) {
		name := e.key.Value
		at := p.name(name)
		d.mark(e, at)
		if name == "" || strings.ContainsFunc(name, unprintable) {
			d.add(position{e.key.Line, e.key.Column}, at.text, "this is not a name: write some letters", false)
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, element, "", at)
		if element.Kind() != reflect.Pointer || !element.IsNil() {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf(name), element)
		}
	}
}

// scalar expands ${…} in a value and reads it as what v is.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, tag reflect.StructTag, p path) {
	if !d.is(n, yaml.ScalarNode, p) {
		return
	}
	text := n.Value
	if tag.Get("kind") != "format" {
		expanded, err := d.expand(text)
		if err != nil {
			d.errorf(p.text, "%v", err)
			return
		}
		if expanded == text && !d.fits(n, v, tag, p) {
			return
		}
		text = expanded
	}
	err := d.read(text, v, tag, p)
	switch {
	case err != nil && text != n.Value:
		d.errorf(p.text, "%v (expanded from %s)", err, shown(n.Value))
	case err != nil:
		d.errorf(p.text, "%v", err)
	}
}

// fits compares what a value looks like in YAML with what is wanted.
func (d *decoder) fits(n *yaml.Node, v reflect.Value, tag reflect.StructTag, p path) bool {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	t := v.Type()
	switch {
	case n.ShortTag() == "!!bool" && t.Kind() != reflect.Bool:
		d.errorf(p.text, "expected %s, found %s", wanted(t, tag), n.Value)
	case quoted && (t.Kind() == reflect.Bool || t.Kind() == reflect.Int):
		d.errorf(p.text, "expected %s, found the text %s: remove the quotes", wanted(t, tag), shown(n.Value))
	default:
		return true
	}
	return false
}

func wanted(t reflect.Type, tag reflect.StructTag) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 5s"
	case t.Kind() == reflect.Int64:
		return "a size such as 64KiB"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t == reflect.TypeFor[netip.Prefix]():
		return "an address range such as 10.0.0.0/8"
	case tag.Get("one_of") != "":
		return words(choices(tag))
	}
	return "a text"
}

// is reports whether n is what is wanted here, and reports the error if not.
func (d *decoder) is(n *yaml.Node, kind yaml.Kind, p path) bool {
	switch n.ShortTag() {
	case "!!map", "!!seq", "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
	default:
		d.errorf(p.text, "the tag %s means nothing here: remove it", n.ShortTag())
		return false
	}
	if n.Kind != kind {
		d.errorf(p.text, "expected %s, found %s", kindName(kind), kindName(n.Kind))
		return false
	}
	return true
}

func kindName(kind yaml.Kind) string {
	switch kind {
	case yaml.MappingNode:
		return "a section (key: value)"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}
