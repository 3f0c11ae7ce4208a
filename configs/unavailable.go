package configs

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

const cannotYet = "this version of mqedge cannot do this yet"

// later is a key of the format that this version does not act on. A version that does deletes the line here and adds
// the field to config.go.
type later struct {
	path string
	off  string // the value that asks for nothing; "a|b": any of them; "*": any value; "": none
}

func laterKeys() []later {
	return []later{
		{"gossip.docker.socket", "/var/run/docker.sock"},
		{"gossip.docker.host", `""`},
	}
}

// later checks a key that config.go does not have; known is false when the format does not have it either.
func (d *decoder) later(n *yaml.Node, p path) (known bool) {
	keys := laterKeys()
	if i := slices.IndexFunc(keys, func(l later) bool { return l.path == p.schema }); i >= 0 {
		d.mustBeOff(n, keys[i], p)
		return true
	}
	var below []field
	for _, l := range keys {
		if rest, ok := strings.CutPrefix(l.path, p.schema+"."); ok {
			key, _, _ := strings.Cut(rest, ".")
			below = append(below, field{key: key})
		}
	}
	if below == nil {
		return false
	}
	if n.Kind != yaml.MappingNode {
		if written(n) != `""` { // docker: "" is how people turn a section off
			d.errorf(p.text, "%s: remove it", cannotYet)
		}
		return true
	}
	for _, e := range d.entries(n, p) {
		at := p.key(e.key.Value)
		d.mark(e, at)
		if !d.later(e.value, at) {
			d.unknown(e, below, at)
		}
	}
	return true
}

func (d *decoder) mustBeOff(n *yaml.Node, l later, p path) {
	value := written(n)
	if n.Kind == yaml.ScalarNode {
		expanded, err := d.expand(n.Value)
		if err != nil {
			d.errorf(p.text, "%v", err)
			return
		}
		value = written(&yaml.Node{Kind: yaml.ScalarNode, Value: expanded})
	}
	offs := strings.Split(l.off, "|")
	switch {
	case l.off == "*" || l.off != "" && slices.Contains(offs, value):
	case l.off == "":
		d.errorf(p.text, "%s: remove it", cannotYet)
	case len(offs) > 1:
		d.errorf(p.text, "%s is not one of %s%s", shown(value), words(offs), didYouMean(value, offs, ""))
	default:
		d.errorf(p.text, "%s: remove it or set it to %s", cannotYet, l.off)
	}
}

// written is a value as the table of laterKeys has it.
func written(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "":
		return `""`
	case n.Kind == yaml.ScalarNode:
		return n.Value
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "[]"
	}
	return "{…}"
}

// unknown says what to do about a key that does not belong where it is.
func (d *decoder) unknown(e entry, siblings []field, at path) {
	if d.later(e.value, at) {
		return
	}
	key := e.key.Value
	var here []string
	for _, f := range siblings {
		if !slices.Contains(here, f.key) {
			here = append(here, f.key)
		}
	}
	otherwise := ": the keys here are " + strings.Join(here, ", ")
	if places := placesOf(key, d.keys); len(places) > 0 {
		otherwise = ": it belongs under " + words(places)
		if suggestion := suggest(key, here); bare(suggestion) != bare(key) {
			here = nil
		}
	}
	d.add(position{e.key.Line, e.key.Column}, at.text,
		fmt.Sprintf("unknown key%s", didYouMean(key, here, otherwise)), false)
}

// placesOf returns the sections that have the key, of all keys of the format, with NAME for a name of the operator's.
func placesOf(key string, keys []string) []string {
	var places []string
	for _, p := range keys {
		section, last := "", p
		if dot := strings.LastIndexByte(p, '.'); dot >= 0 {
			section, last = p[:dot], p[dot+1:]
		}
		if last != key {
			continue
		}
		if section == "" {
			section = "the top of the file"
		}
		places = append(places, strings.ReplaceAll(section, "*", "NAME"))
	}
	return places
}
