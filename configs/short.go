package configs

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// shortWidth is where a line of Short becomes several, if it can.
const shortWidth = 100

// Short returns the configuration as a person would write it: only what differs from the defaults, with comments.
// A comment is one line of text, without the #; its key is the path of what it stands beside, such as
// "upstreams.emqx.tries", in which names are as they are. Parsing the result gives an equal Config.
func (c *Config) Short(comments map[string]string) []byte {
	w := shortWriter{comments: comments}
	w.section(reflect.ValueOf(*c), reflect.ValueOf(Default()), "", 0)
	return w.out.Bytes()
}

type shortWriter struct {
	out      bytes.Buffer
	comments map[string]string
}

// section writes the fields of v that are not as in normal.
func (w *shortWriter) section(v, normal reflect.Value, path string, depth int) {
	for _, f := range fieldsOf(v.Type()) {
		value, usual := v.Field(f.index), normal.Field(f.index)
		_, required := f.tag.Lookup("required")
		if !required && reflect.DeepEqual(value.Interface(), usual.Interface()) {
			continue
		}
		if depth == 0 && w.out.Len() > 0 {
			w.out.WriteByte('\n')
		}
		w.field(value, usual, f, join(path, f.key), depth)
	}
}

func (w *shortWriter) field(v, normal reflect.Value, f field, path string, depth int) {
	if v.Kind() == reflect.Pointer {
		v, normal = v.Elem(), defaultOf(v.Type().Elem())
	}
	if line := f.key + ": " + flow(shortNode(v, normal, f.tag)); w.fits(line, v, f.tag, path, depth) {
		w.line(line, path, depth)
		return
	}
	switch {
	case v.Kind() == reflect.Slice:
		w.line(f.key+":", path, depth)
		for i := range v.Len() {
			item := v.Index(i)
			w.line("- "+flow(shortNode(item, defaultOf(item.Type()), f.tag)), fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
	case v.Kind() == reflect.Map:
		w.line(f.key+":", path, depth)
		for i, name := range sorted(stringMap(v)) {
			if i > 0 {
				w.out.WriteByte('\n')
			}
			at, element := join(path, name), v.MapIndex(reflect.ValueOf(name)).Elem()
			w.line(flow(text(name))+":", at, depth+1)
			w.section(element, defaultOf(element.Type()), at, depth+2)
		}
	case v.Kind() == reflect.Struct && !isScalar(v.Type()):
		w.line(f.key+":", path, depth)
		w.section(v, normal, path, depth+1)
	default:
		w.line(f.key+": >-", path, depth)
		for _, part := range fold(v.String(), shortWidth) {
			w.line(part, "", depth+1)
		}
	}
}

// fits says whether v may stand on one line.
func (w *shortWriter) fits(line string, v reflect.Value, tag reflect.StructTag, path string, depth int) bool {
	narrow := 2*depth+len(line) <= shortWidth
	switch {
	case strings.HasSuffix(line, ": {}"): // it is what counts that it is there
		return true
	case v.Kind() == reflect.Map:
		return false
	case isScalar(v.Type()):
		return narrow || tag.Get("kind") != "format" || !foldable(v.String())
	case v.Kind() == reflect.Slice && !isScalar(v.Type().Elem()):
		return false // an item a line
	}
	for at := range w.comments {
		if strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[") {
			return false
		}
	}
	return narrow && !nested(v)
}

// nested says whether there are sections in a section, or lists of them.
func nested(v reflect.Value) bool {
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.IsZero() && !isScalar(f.Type()) && (f.Kind() != reflect.Slice || !isScalar(f.Type().Elem())) {
			return true
		}
	}
	return false
}

func (w *shortWriter) line(text, path string, depth int) {
	w.out.WriteString(strings.Repeat("  ", depth) + text)
	if comment := w.comments[path]; comment != "" {
		w.out.WriteString(" # " + comment)
	}
	w.out.WriteByte('\n')
}

// shortNode is printed without what is as in normal.
func shortNode(v, normal reflect.Value, tag reflect.StructTag) *yaml.Node {
	switch {
	case isScalar(v.Type()):
		return printedScalar(v, tag)
	case v.Kind() == reflect.Slice && tag.Get("single") != "" && v.Len() == 1:
		return printedScalar(v.Index(0), tag)
	case v.Kind() != reflect.Struct:
		return printed(v, tag)
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, f := range fieldsOf(v.Type()) {
		value, usual := v.Field(f.index), normal.Field(f.index)
		if _, required := f.tag.Lookup("required"); required || !reflect.DeepEqual(value.Interface(), usual.Interface()) {
			n.Content = append(n.Content, text(f.key), shortNode(value, usual, f.tag))
		}
	}
	return n
}

// safe are scalars that mean the same in brackets as outside, quoted or not.
var safe = regexp.MustCompile(`^("[^"\\]*"|[A-Za-z0-9$/._-][A-Za-z0-9$/._:@ -]*)$`)

// flow returns n on one line, quoted so that it may stand in brackets too.
func flow(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, flow(n.Content[i])+": "+flow(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	scalar := encoded(n)
	if !safe.MatchString(scalar) {
		list := encoded(&yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{n}})
		return list[1 : len(list)-1]
	}
	return scalar // an address needs no quotes for its colon
}

func encoded(n *yaml.Node) string {
	b, err := yaml.Marshal(n)
	if err != nil {
		panic(err) // as in YAML
	}
	return strings.TrimSuffix(string(b), "\n")
}

// foldable says whether the folded style of YAML keeps a text as it is.
func foldable(s string) bool {
	return s == strings.Join(strings.Fields(s), " ") && !strings.ContainsFunc(s, unprintable)
}

// fold breaks a text at spaces into lines of about width.
func fold(s string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(s) {
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(word) <= width {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
