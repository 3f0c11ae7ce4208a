package configs

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// Schema returns a JSON Schema (draft 2020-12) of the file, for editors. What it cannot tell, Parse does.
func Schema() []byte {
	b := schemaBuilder{descriptions: descriptions()}
	schema := b.of(reflect.ValueOf(Default()), "", path{})
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "mqedge configuration"
	schema["$defs"] = object{
		"expanded": object{
			"type": "string", "pattern": `\$\{`,
			"description": "${VAR}, ${VAR:-default} or ${file:/path}",
		},
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	// Maps, lists and texts cannot fail to encode.
	if err := encoder.Encode(schema); err != nil {
		panic(err)
	}
	return []byte(out.String())
}

type object = map[string]any

const (
	durationPattern = `^(([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+|0)$`
	sizePattern     = `^[0-9]+(KiB|MiB|GiB)$`
)

type schemaBuilder struct {
	descriptions map[string]string // by the schema form of a path
}

// of describes values like v, which holds the default. A value that the operator names or lists has none.
func (b schemaBuilder) of(v reflect.Value, tag reflect.StructTag, p path) object {
	s := b.shape(v, tag, p)
	if description := b.descriptions[p.schema]; description != "" {
		s["description"] = description
	}
	if _, required := tag.Lookup("required"); !required && p.schema != "" && !strings.HasSuffix(p.schema, "[]") {
		if isScalar(v.Type()) || v.Kind() == reflect.Slice {
			var value any
			if err := printed(v, tag).Decode(&value); err == nil {
				s["default"] = value
			}
		}
	}
	return s
}

func (b schemaBuilder) shape(v reflect.Value, tag reflect.StructTag, p path) object {
	_, required := tag.Lookup("required")
	t := v.Type()
	switch {
	case isScalar(t):
		s := scalarShape(t, tag, required)
		if s["type"] == "string" && s["pattern"] == nil {
			return s // ${…} is as good a text as any
		}
		return object{"anyOf": []any{s, object{"$ref": "#/$defs/expanded"}}}
	case t.Kind() == reflect.Pointer:
		return b.shape(defaultOf(t.Elem()), tag, p)
	case t.Kind() == reflect.Slice:
		return b.listShape(t.Elem(), tag, p, required)
	case t.Kind() == reflect.Map:
		item := t.Elem()
		if item.Kind() == reflect.Pointer {
			item = item.Elem()
		}
		s := object{"type": "object", "additionalProperties": b.of(defaultOf(item), "", p.name("*"))}
		if required {
			s["minProperties"] = 1
		}
		return s
	}
	properties, must := object{}, []string{}
	for _, f := range fieldsOf(t) {
		properties[f.key] = b.of(v.Field(f.index), f.tag, p.key(f.key))
		if _, required := f.tag.Lookup("required"); required {
			must = append(must, f.key)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(must) > 0 {
		s["required"] = must
	}
	return s
}

func (b schemaBuilder) listShape(item reflect.Type, tag reflect.StructTag, p path, required bool) object {
	items := b.of(defaultOf(item), tag, p.index(0))
	list := object{"type": "array", "items": items}
	if required {
		list["minItems"] = 1
	}
	if tag.Get("single") == "" {
		return list
	}
	return object{"anyOf": []any{items, list}}
}

func scalarShape(t reflect.Type, tag reflect.StructTag, required bool) object {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return object{"type": "string", "pattern": durationPattern}
	case t == reflect.TypeFor[netip.Prefix]():
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case tag.Get("kind") == "size":
		return object{"anyOf": []any{boundedInteger(t, tag), object{"type": "string", "pattern": sizePattern}}}
	case t.Kind() == reflect.Int:
		return boundedInteger(t, tag)
	case tag.Get("one_of") != "":
		return object{"enum": choices(tag)}
	}
	s := object{"type": "string"}
	if required {
		s["minLength"] = 1
	}
	return s
}

func boundedInteger(t reflect.Type, tag reflect.StructTag) object {
	s := object{"type": "integer"}
	for bound, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
		if text := tag.Get(bound); text != "" {
			if n, err := parseNumber(text, t, tag); err == nil {
				s[keyword] = n
			}
		}
	}
	return s
}

// schemaPaths returns every key of the format.
func schemaPaths() []string {
	var paths []string
	var walk func(t reflect.Type, p path)
	walk = func(t reflect.Type, p path) {
		switch t.Kind() {
		case reflect.Pointer:
			walk(t.Elem(), p)
		case reflect.Slice:
			walk(t.Elem(), p.index(0))
		case reflect.Map:
			walk(t.Elem(), p.name("*"))
		case reflect.Struct:
			if isScalar(t) {
				return
			}
			for _, f := range fieldsOf(t) {
				at := p.key(f.key)
				paths = append(paths, at.schema)
				walk(reflect.New(t).Elem().Field(f.index).Type(), at)
			}
		}
	}
	walk(reflect.TypeFor[Config](), path{})
	return paths
}
