package configs

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// Key is one of the format, as people are told about it.
type Key struct {
	Path     string   `json:"path"` // with NAME for a name of the operator's, such as upstreams.NAME.tries
	Text     string   `json:"description"`
	Value    string   `json:"value"`              // what may be written
	Choices  []string `json:"choices,omitempty"`  // the words it may be; nil: any
	Default  string   `json:"default,omitempty"`  // as in a file; "" for a section, and where it is required
	Required bool     `json:"required,omitempty"` // it must be written
	Since    string   `json:"since"`              // the version it came with
	Keys     []Key    `json:"keys,omitempty"`     // of a section, in the order of the reference file

	name  string // the last step of the path
	named bool   // the keys are those of each section in it, which the operator names
}

// Name is the last step of the path.
func (k Key) Name() string { return k.name }

// Named says whether the section has sections that the operator names, which Keys are those of.
func (k Key) Named() bool { return k.named }

// FirstRelease is what Key.Since says of keys that were always there.
const FirstRelease = "the first release"

// Keys returns the whole format as a section without a path.
func Keys() Key {
	b := keyBuilder{descriptions: descriptions()}
	root := b.of(reflect.ValueOf(Default()), "", path{}, "")
	root.Text, root.Value = "the top of the file", "sections"
	return root
}

// All returns the keys below k, sections before what is in them.
func (k Key) All() []Key {
	var all []Key
	for _, child := range k.Keys {
		all = append(append(all, child), child.All()...)
	}
	return all
}

type keyBuilder struct {
	descriptions map[string]string // by the schema form of a path
}

// of describes values like v, which holds the default; shown is the path as people read it.
func (b keyBuilder) of(v reflect.Value, tag reflect.StructTag, p path, shown string) Key {
	_, required := tag.Lookup("required")
	k := Key{Path: shown, Text: b.descriptions[p.schema], Required: required, Since: cmp.Or(tag.Get("since"), FirstRelease)}
	t := v.Type()
	switch {
	case isScalar(t):
		k.Choices = choices(tag)
		k.Value = valueText(t, tag)
	case t.Kind() == reflect.Pointer:
		inner := b.of(defaultOf(t.Elem()), tag, p, shown)
		inner.Value += ", off unless it is there"
		return inner
	case t.Kind() == reflect.Slice && isScalar(t.Elem()):
		k.Value = "a list; each " + valueText(t.Elem(), tag)
		if tag.Get("single") != "" {
			k.Value = "one or a list; each " + valueText(t.Elem(), tag)
		}
	case t.Kind() == reflect.Slice:
		items := b.of(defaultOf(t.Elem()), tag, p.index(0), shown+"[]")
		k.Value, k.Keys = "a list of sections", items.Keys
	case t.Kind() == reflect.Map && isScalar(t.Elem()):
		k.Value = "texts by names of your choice"
	case t.Kind() == reflect.Map:
		items := b.of(defaultOf(element(t)), "", p.name("*"), shown+".NAME")
		k.Value, k.Keys, k.named = "sections by names of your choice", items.Keys, true
	default:
		k.Value = "a section"
		for _, f := range fieldsOf(t) {
			key := b.of(v.Field(f.index), f.tag, p.key(f.key), join(shown, f.key))
			key.name = f.key
			k.Keys = append(k.Keys, key)
		}
		return k
	}
	if !required && (isScalar(t) || t.Kind() == reflect.Slice) {
		k.Default = flow(printed(v, tag))
	}
	return k
}

func element(t reflect.Type) reflect.Type {
	if t.Elem().Kind() == reflect.Pointer {
		return t.Elem().Elem()
	}
	return t.Elem()
}

// valueText says what may be written where a value of that type and tag is wanted, with its unit and its bounds.
func valueText(t reflect.Type, tag reflect.StructTag) string {
	least, most := tag.Get("min"), tag.Get("max")
	var text string
	switch {
	case t == reflect.TypeFor[time.Duration]():
		text = "a duration such as 5s or 1m30s"
	case t == reflect.TypeFor[netip.Prefix]():
		return "an address or a range such as 10.0.0.0/8"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case tag.Get("kind") == "size":
		text = "a number of bytes, or one with KiB, MiB or GiB"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		text = "a whole number"
	case tag.Get("one_of") != "":
		list := choices(tag)
		for i, word := range list {
			list[i] = cmp.Or(word, `""`)
		}
		return words(list)
	default:
		return cmp.Or(kindTexts()[tag.Get("kind")], "a text")
	}
	switch {
	case least != "" && most != "":
		text += fmt.Sprintf(", from %s to %s", least, most)
	case least != "":
		text += ", at least " + least
	case most != "":
		text += ", at most " + most
	}
	return text
}

func kindTexts() map[string]string {
	return map[string]string{
		"log": `a path, "-" or ""`, "format": "json, nginx, or a text with $variables", "file": "a path, from the folder of the file",
		"bind": "host:port", "bind_ip": "IP:port", "address": "host:port", "announced": ":port or IP:port", "advertise": "host or host:port",
		"host": "a host name or an address", "path": "a path of HTTP such as /status", "source": "an address of this host", "resolver": "IP:port",
		"suite": "the name of a cipher suite, as IANA has it", "hook": "the name of a hook, such as client.authenticate",
		"notification": "the name of a hook whose answer EMQX does not act on, such as client.connected", "service": "a name",
		"member": "a name", "metadata": "a key of metadata in lower case, such as x-tenant", "alpn": "the name of a protocol", "secret": "a text that no message shows",
	}
}

// Find returns the key below k that a path means, in which a step may be a name as it is in a file, * or NAME, and a list
// may have an index. The error says what was probably meant.
func (k Key) Find(text string) (Key, error) {
	at, rest := k, strings.TrimSuffix(strings.TrimSpace(text), ".")
	if rest == "" {
		return at, nil
	}
	for rest != "" {
		next, left, ok := step(at, rest)
		if !ok {
			return Key{}, k.unknown(text, at, rest)
		}
		at, rest = next, left
	}
	return at, nil
}

// step goes one key down, and over the index or the name that follows it where there is one.
func step(at Key, rest string) (next Key, left string, ok bool) {
	for _, k := range at.Keys {
		after, is := strings.CutPrefix(rest, k.name)
		if is && (after == "" || after[0] == '.' || after[0] == '[') && len(k.name) > len(next.name) {
			next, left, ok = k, after, true // the longest, as client.authenticate is one key
		}
	}
	if strings.HasPrefix(left, "[") {
		_, left, ok = strings.Cut(left, "]")
	}
	left = strings.TrimPrefix(left, ".")
	if next.named && left != "" {
		left = afterName(left)
	}
	return next, left, ok
}

// afterName takes a name off a path, which may be quoted.
func afterName(rest string) string {
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		if _, after, ok := strings.Cut(quoted, `"`); ok {
			return strings.TrimPrefix(after, ".")
		}
	}
	_, after, _ := strings.Cut(rest, ".")
	return after
}

// unknown says what may be meant by a path of which rest is not below at: a key here that is spelled like it, or one of
// that name elsewhere.
func (k Key) unknown(text string, at Key, rest string) error {
	name, _, _ := strings.Cut(rest, ".")
	name, _, _ = strings.Cut(name, "[")
	var here, elsewhere []string
	for _, key := range at.Keys {
		here = append(here, key.name)
	}
	for _, key := range k.All() {
		if len(elsewhere) < 5 && (key.name == text || strings.HasSuffix(key.Path, "."+text)) {
			elsewhere = append(elsewhere, key.Path)
		}
	}
	like := suggest(name, here)
	switch {
	case len(at.Keys) == 0:
		return fmt.Errorf("there is no key %s: %s has none below it", shown(text), at.Path)
	case len(elsewhere) > 0:
		return fmt.Errorf("there is no key %s: did you mean %s?", shown(text), words(elsewhere))
	case like != "" && at.named:
		return fmt.Errorf("there is no key %s: did you mean %s.NAME.%s?", shown(text), at.Path, like)
	case like != "":
		return fmt.Errorf("there is no key %s: did you mean %s?", shown(text), join(at.Path, like))
	}
	return fmt.Errorf("there is no key %s: the keys of %s are %s", shown(text), cmp.Or(at.Path, "the file"), words(here))
}
