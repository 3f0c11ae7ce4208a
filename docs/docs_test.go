// Package docs_test keeps the documentation true: its configurations load, its links lead somewhere, and its tables of keys, metrics, reasons and
// variables are those of the program.
package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
	"github.com/mqedge/mqedge/configs/haproxy"
	"github.com/mqedge/mqedge/configs/nginx"
)

// wholeConfig stands in the line above a block that is a complete configuration file.
const wholeConfig = "<!-- config -->"

func TestEveryConfigurationInTheDocsLoads(t *testing.T) {
	n := 0
	for _, page := range pages(t) {
		for _, b := range blocks(read(t, page), "yaml") {
			if !b.whole {
				if err := yaml.Unmarshal([]byte(b.text), new(any)); err != nil {
					t.Errorf("%s:%d: %v", page, b.line, err)
				}
				continue
			}
			n++
			dir := t.TempDir()
			writeFiles(t, dir, b.text)
			if _, problems := configs.Parse(filepath.Join(dir, "mqedge.yaml"), []byte(b.text)); problems.Err() != nil {
				t.Errorf("%s:%d:\n%v", page, b.line, problems.Err())
			}
		}
	}
	if n < 5 {
		t.Errorf("found %d configurations: has the marker %s changed?", n, wholeConfig)
	}
}

func TestTheTranscriptsOfImportsAreWhatTheProgramPrints(t *testing.T) {
	for _, c := range []struct {
		page, language, file string
		make                 func(file string) (*convert.Result, error)
	}{
		{"nginx.md", "nginx", "/etc/nginx/tcpstream.conf", func(file string) (*convert.Result, error) { return nginx.Import(file, nginx.Options{}) }},
		{"from-haproxy.md", "haproxy", "/etc/haproxy/haproxy.cfg", func(file string) (*convert.Result, error) { return haproxy.Import(file, haproxy.Options{}) }},
	} {
		page := read(t, c.page)
		conf := filepath.Join(t.TempDir(), filepath.Base(c.file))
		if err := os.WriteFile(conf, []byte(blocks(page, c.language)[0].text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := c.make(conf)
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for _, note := range result.Notes {
			want.WriteString(strings.ReplaceAll(note.String(), conf, c.file) + "\n")
		}
		want.WriteString("$ cat mqedge.yaml\n" + string(result.YAML) + "$ mqedge check")
		if !strings.Contains(page, want.String()) {
			t.Errorf("%s does not have\n%s", c.page, want.String())
		}
	}
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s: no such heading", page, m[1])
			}
		}
	}
}

func TestTheConfigurationReferenceHasEveryKeyWithItsDefault(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(configs.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	keys(schema, "", want)
	got := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*?) ?\\|")
	for _, m := range row.FindAllStringSubmatch(read(t, "configuration.md"), -1) {
		got[m[1]] = m[2]
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, there := got[key]
		switch {
		case !there:
			t.Errorf("%s is missing", key)
		case value != want[key]:
			t.Errorf("%s: the default is %s, not %s", key, want[key], value)
		}
		delete(got, key)
	}
	for key := range got {
		t.Errorf("there is no key %s", key)
	}
}

func TestTheMetricsPageHasWhatTheProgramExports(t *testing.T) {
	exported := exportedMetrics(t)
	page := read(t, "metrics.md")
	var named []string
	for _, name := range regexp.MustCompile("mqedge_[a-z_]+").FindAllString(page, -1) {
		if !slices.Contains(exported, strings.TrimSuffix(name, "_bucket")) { // of a histogram
			t.Errorf("there is no metric %s", name)
		}
		named = append(named, name)
	}
	for _, name := range exported {
		if !slices.Contains(named, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	page := read(t, "troubleshooting.md")
	reasons := append(constants(t, "../proxy/errors.go"), constants(t, "../proxy/relay/relay.go")...)
	if len(reasons) < 20 {
		t.Errorf("found only %q", reasons)
	}
	for _, reason := range reasons {
		if !strings.Contains(page, "\n| `"+reason+"` |") {
			t.Errorf("%s is missing", reason)
		}
	}
}

func TestEveryVariableOfTheAccessLogIsExplained(t *testing.T) {
	page := read(t, "logs.md")
	for _, name := range configs.AccessLogVariables() {
		if !strings.Contains(page, "`$"+name+"`") {
			t.Errorf("$%s is missing", name)
		}
	}
}

// keys collects the paths below a schema with what the default column says of them.
func keys(schema map[string]any, path string, into map[string]string) {
	schema = plain(schema)
	if items, ok := schema["items"].(map[string]any); ok {
		if items = plain(items); items["properties"] != nil {
			keys(items, path+"[]", into)
		}
		return
	}
	if named, ok := schema["additionalProperties"].(map[string]any); ok {
		keys(named, path+".NAME", into)
		return
	}
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for key, value := range properties {
		s, at := value.(map[string]any), strings.TrimPrefix(path+"."+key, ".")
		_, hasDefault := s["default"]
		switch {
		case slices.Contains(required, any(key)), key == "upstreams":
			into[at] = "required"
		case hasDefault:
			into[at] = shown(s["default"])
		default:
			into[at] = "" // a section
		}
		keys(s, at, into)
	}
}

// plain is the schema of what a value is, when it may be written in several ways: a list rather than its one item.
func plain(s map[string]any) map[string]any {
	choices, _ := s["anyOf"].([]any)
	if len(choices) == 0 {
		return s
	}
	for _, c := range choices {
		if c := c.(map[string]any); c["type"] == "array" || c["type"] == "object" {
			return c
		}
	}
	return choices[0].(map[string]any)
}

func shown(value any) string {
	if value == "" {
		return "`\"\"`"
	}
	if list, ok := value.([]any); ok { // as it is written in the file
		return strings.ReplaceAll(fmt.Sprintf("`%v`", list), " ", ", ")
	}
	return fmt.Sprintf("`%v`", value)
}

func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("*.md")
	if err != nil || len(list) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	more, err := filepath.Glob("../deploy/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(append(list, more...), "../README.md", "../CHANGELOG.md", "../deploy/README.md")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
