package configs

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// YAML returns the configuration in full, every default and every password written out. Parsing it gives an equal Config.
func (c *Config) YAML() []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	// A tree of nodes made here cannot fail to encode, nor can a buffer to be written.
	if err := encoder.Encode(printed(reflect.ValueOf(*c), "")); err != nil {
		panic(err)
	}
	encoder.Close()
	return b.Bytes()
}

// Public is YAML for the eyes of others, with every password hidden.
func (c *Config) Public() []byte {
	public := *c
	public.Upstreams = maps.Clone(c.Upstreams)
	for name, u := range c.Upstreams {
		if u.Health.Active.Password != "" {
			hidden := *u
			hidden.Health.Active.Password = "(hidden)"
			public.Upstreams[name] = &hidden
		}
	}
	if g := c.Gossip; g != nil && slices.ContainsFunc(g.Announce, func(a Announcement) bool { return a.Check.Password != "" }) {
		hidden := *g
		hidden.Announce = slices.Clone(g.Announce)
		for i := range hidden.Announce {
			if hidden.Announce[i].Check.Password != "" {
				hidden.Announce[i].Check.Password = "(hidden)"
			}
		}
		public.Gossip = &hidden
	}
	return public.YAML()
}

// printed returns v as it would be written in a file.
func printed(v reflect.Value, tag reflect.StructTag) *yaml.Node {
	switch {
	case isScalar(v.Type()):
		return printedScalar(v, tag)
	case v.Kind() == reflect.Pointer:
		return printed(v.Elem(), tag)
	case v.Kind() == reflect.Slice:
		return printedList(v, tag)
	case v.Kind() == reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range sorted(stringMap(v)) {
			n.Content = append(n.Content, text(name), printed(v.MapIndex(reflect.ValueOf(name)), ""))
		}
		return n
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(v.Type()) {
		value := v.Field(f.index)
		if value.Kind() == reflect.Pointer && value.IsNil() {
			continue
		}
		n.Content = append(n.Content, text(f.key), printed(value, f.tag))
	}
	return n
}

func printedList(v reflect.Value, tag reflect.StructTag) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if isScalar(v.Type().Elem()) {
		n.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		item := printed(v.Index(i), tag)
		if item.Kind == yaml.MappingNode {
			item.Style = yaml.FlowStyle
		}
		n.Content = append(n.Content, item)
	}
	return n
}

func printedScalar(v reflect.Value, tag reflect.StructTag) *yaml.Node {
	switch value := v.Interface().(type) {
	case time.Duration:
		return text(formatDuration(value))
	case netip.Prefix:
		return text(value.String())
	case int64:
		n := text(formatSize(value))
		if n.Value == strconv.FormatInt(value, 10) {
			n.Tag = "!!int"
		}
		return n
	case int, bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(value)}
	case string:
		if tag.Get("kind") == "format" { // the one value that is not expanded
			return text(value)
		}
		return text(escape(value))
	}
	panic("a type that no configuration has")
}

func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func stringMap(v reflect.Value) map[string]bool {
	m := map[string]bool{}
	for _, key := range v.MapKeys() {
		m[key.String()] = true
	}
	return m
}
