package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestTheSchemaAcceptsTheReferenceFileAndTheExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	must(t, err)
	texts := map[string][]byte{
		"reference": Reference(), "full reference": fullReference(), "minimal": []byte(minimal),
		"expanded": []byte(`
drain: {delay: "${D}"}
listeners: {a: {bind: ["${B}"], upstream: u, protocol: "${P}", max_connections: "${M:-5}"}}
upstreams: {u: {endpoints: [{address: "x:1", backup: "${BACKUP}"}]}}`),
	}
	for _, file := range files {
		texts[file], err = os.ReadFile(file)
		must(t, err)
	}
	for name, text := range texts {
		if err := againstSchema(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSchemaRefusesWhatItCanSeeIsWrong(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":      minimal + `logs: {}`,
		"unknown word":     minimal + `log: {level: loud}`,
		"text for section": minimal + `log: info`,
		"bare duration":    minimal + `drain: {delay: 5}`,
		"bad duration":     minimal + `drain: {delay: 5 s}`,
		"missing bind":     `listeners: {a: {upstream: u}}`,
		"empty bind":       `listeners: {a: {upstream: u, bind: []}}`,
		"bad size":         `listeners: {a: {upstream: u, bind: ":1", mqtt: {max_connect_size: 5KB}}}`,
		"large size":       `listeners: {a: {upstream: u, bind: ":1", mqtt: {max_connect_size: 99999999}}}`,
		"weight 0":         `{listeners: {a: {upstream: u, bind: ":1"}}, upstreams: {u: {endpoints: [{address: "x:1", weight: 0}]}}}`,
		"no certificates":  `listeners: {a: {upstream: u, bind: ":1", tls: {certificates: []}}}`,
	} {
		if againstSchema(t, []byte(text)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestTheSchemaHasDescriptionsAndDefaults(t *testing.T) {
	level := under(t, "properties", "log", "properties", "level")
	if level["default"] != "info" || level["description"] != "debug, info, warn or error" {
		t.Errorf("log.level is %v", level)
	}
	size := under(t, "properties", "listeners", "additionalProperties", "properties", "mqtt", "properties", "max_connect_size")
	if size["default"] != "64KiB" || size["description"] == nil {
		t.Errorf("max_connect_size is %v", size)
	}
	weight := under(t, "properties", "upstreams", "additionalProperties", "properties", "endpoints", "items", "properties", "weight")
	if weight["default"] != 1.0 || weight["description"] == nil {
		t.Errorf("weight is %v", weight)
	}
}

func under(t *testing.T, keys ...string) map[string]any {
	t.Helper()
	var at map[string]any
	must(t, json.Unmarshal(Schema(), &at))
	for _, key := range keys {
		next, ok := at[key].(map[string]any)
		if !ok {
			t.Fatalf("no %s in %v", key, at)
		}
		at = next
	}
	return at
}

func againstSchema(t *testing.T, text []byte) error {
	t.Helper()
	var parsed any
	must(t, yaml.Unmarshal(text, &parsed))
	data, err := json.Marshal(parsed)
	must(t, err)
	var value any
	must(t, json.Unmarshal(data, &value))
	root := under(t)
	return matches(root, root, value)
}

// matches is as much of JSON Schema as Schema uses. A keyword it does not know fails the test.
func matches(root, schema map[string]any, value any) error {
	for keyword, want := range schema {
		if !matchesKeyword(root, schema, keyword, want, value) {
			return fmt.Errorf("%v: %v does not match %v", value, keyword, want)
		}
	}
	return nil
}

func matchesKeyword(root, schema map[string]any, keyword string, want, value any) bool {
	fits := func(schema, value any) bool { return matches(root, schema.(map[string]any), value) == nil }
	text, isText := value.(string)
	number, isNumber := value.(float64)
	section, isSection := value.(map[string]any)
	list, isList := value.([]any)
	switch keyword {
	case "$schema", "$defs", "title", "description", "default":
		return true
	case "$ref":
		return fits(root["$defs"].(map[string]any)[filepath.Base(want.(string))], value)
	case "type":
		switch want {
		case "object":
			return isSection
		case "array":
			return isList
		case "string":
			return isText
		case "integer":
			return isNumber && number == float64(int64(number))
		case "boolean":
			return reflect.TypeOf(value) == reflect.TypeFor[bool]()
		}
	case "anyOf":
		return slices.ContainsFunc(want.([]any), func(s any) bool { return fits(s, value) })
	case "enum":
		return slices.Contains(want.([]any), value)
	case "pattern":
		return regexp.MustCompile(want.(string)).MatchString(text)
	case "minLength":
		return len(text) >= int(want.(float64))
	case "minimum":
		return number >= want.(float64)
	case "maximum":
		return number <= want.(float64)
	case "minItems":
		return len(list) >= int(want.(float64))
	case "minProperties":
		return len(section) >= int(want.(float64))
	case "items":
		return !slices.ContainsFunc(list, func(item any) bool { return !fits(want, item) })
	case "required":
		return !slices.ContainsFunc(want.([]any), func(key any) bool { return section[key.(string)] == nil })
	case "properties":
		for key, s := range want.(map[string]any) {
			if v, there := section[key]; there && !fits(s, v) {
				return false
			}
		}
		return true
	case "additionalProperties":
		known, _ := schema["properties"].(map[string]any)
		for key, v := range section {
			if _, ok := known[key]; !ok && (want == false || !fits(want, v)) {
				return false
			}
		}
		return true
	}
	panic("unknown keyword " + keyword)
}
