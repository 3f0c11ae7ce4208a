package hook

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func exampleState() State {
	s := State{Versions: map[Version]Answers{
		V1: {Merged: specs("client.check_acl"), Known: specs("client.check_acl")},
		V3: {Merged: specs("client.authenticate", "message.publish a/# b"), Known: specs("message.publish")},
	}}
	s.Nodes.Loaded(V1, loaded("emqx@old", "4.4.19"))
	s.Nodes.Loaded(V3, loaded("emqx@new", "6.0.0"))
	return s
}

func TestAStateOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	if got, err := LoadState(file); err != nil || !reflect.DeepEqual(got, State{}) {
		t.Errorf("of no file: %v %v", got, err)
	}
	want := exampleState()
	for range 2 { // anew, and in place of another
		if err := want.Save(file); err != nil {
			t.Fatal(err)
		}
		if got, err := LoadState(file); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v %+v, not %+v", err, got, want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%v is left beside the file", files)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
}

func TestAnEmptyStateIsOneToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	if err := (State{}).Save(file); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadState(file); err != nil || len(got.Versions) != 0 || len(got.Nodes.All()) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

func TestASpoiltStateFileIsNamedWithTheRemedyAndCountsAsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	for text, why := range map[string]string{
		"":                          "empty",
		"\x00\x00\x00\x00":          "invalid character",
		`{"format": 1, "versions":`: "unexpected end",
		`{"format": 1} trailing`:    "invalid character",
		`{"format": 2}`:             "format 2 is not 1",
		`{}`:                        "format 0 is not 1",
		`{"format": 1, "versions": {"emqx.exhook.v9": {}}}`:                                                                         `"emqx.exhook.v9" is no version`,
		`{"format": 1, "versions": {"emqx.exhook.v2": {"known": [{"name": "client.check_acl"}]}}}`:                                  `it is "client.authorize" there`,
		`{"format": 1, "versions": {"emqx.exhook.v2": {"merged": [{"name": "client.connect"}, {"name": "client.connect"}]}}}`:       "registered twice",
		`{"format": 1, "versions": {"emqx.exhook.v2": {"merged": "client.connect"}}}`:                                               "cannot unmarshal",
		`{"format": 1, "nodes": [{"version": "emqx.exhook.v2", "node": "a", "request": "Cg=="}]}`:                                   "nodes[0] is not",
		`{"format": 1, "nodes": [{"version": "2", "node": "a", "request": ""}]}`:                                                    "nodes[0] is not",
		`{"format": 1, "versions": {"emqx.exhook.v2": {"merged": [{"name": "message.publish"}]}}}` + strings.Repeat(" ", mostState): "larger than",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := LoadState(file)
		_, known := errors.AsType[*StateError](err)
		if !known || !reflect.DeepEqual(got, State{}) || !strings.Contains(err.Error(), "state file "+file+": ") ||
			!strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), ": remove it; ") {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

func TestAStateFileThatCannotBeWrittenIsNamedWithTheRemedy(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder") // has the name that the file should have
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(dir, "missing", "state.json"), folder} {
		err := exampleState().Save(file)
		if err == nil || !strings.HasPrefix(err.Error(), "state file "+file+": ") || !strings.Contains(err.Error(), ": give it a folder of its own") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%v is left", files)
	}
	if _, err := LoadState(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder was read: %v", err)
	}
}

func TestAStateTooLargeToReadBackIsNotWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	s := State{Versions: map[Version]Answers{V3: {Merged: []Spec{{"message.publish", []string{strings.Repeat("x", mostState)}}}}}}
	if err := s.Save(file); err == nil || !strings.Contains(err.Error(), "register fewer topic filters") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is there")
	}
}

func FuzzAStateThatLoadsIsWrittenTheSame(f *testing.F) {
	file := filepath.Join(f.TempDir(), "state.json")
	if err := exampleState().Save(file); err != nil {
		f.Fatal(err)
	}
	example, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(`{"format": 1, "versions": {"emqx.exhook.v2": {"merged": [{"name": "message.publish", "topics": ["b", "a", "b"]}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseState(data)
		if err != nil {
			return
		}
		written, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseState(written)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%v: %+v became %+v", err, s, again)
		}
	})
}
