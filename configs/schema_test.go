package configs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
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
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	must(t, err)
	return compiledSchema(t).Validate(value)
}

// compiledSchema is Schema as another program reads it, which also finds it to be one.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	must(t, err)
	c := jsonschema.NewCompiler()
	must(t, c.AddResource("mqedge.schema.json", schema))
	compiled, err := c.Compile("mqedge.schema.json")
	must(t, err)
	return compiled
}

// schemaLine is what editors look for in a file.
var schemaLine = regexp.MustCompile(`(?m)^# yaml-language-server: \$schema=(.*)$`)

func TestEveryFileOfOursNamesTheSchema(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	must(t, err)
	for _, file := range append(files, "mqedge.yaml") {
		text, err := os.ReadFile(file)
		must(t, err)
		m := schemaLine.FindSubmatch(text)
		if m == nil {
			t.Errorf("%s does not name it", file)
			continue
		}
		named, err := os.ReadFile(filepath.Join(filepath.Dir(file), string(m[1])))
		must(t, err)
		if !bytes.Equal(named, Schema()) {
			t.Errorf("%s names another than that of the program", file)
		}
	}
}

// What go generate makes is told to be old here.
func TestTheSchemaAndTheReferenceAreThoseOfTheProgram(t *testing.T) {
	for file, want := range map[string][]byte{"mqedge.schema.json": Schema(), "../docs/reference.md": Markdown()} {
		got, err := os.ReadFile(file)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is old: run go generate ./configs", file)
		}
	}
}
