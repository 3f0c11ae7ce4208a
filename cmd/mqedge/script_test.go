package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mqedge": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"isjson":   isJSON,
			"checkall": checkAll,
		},
		RequireExplicitExec: true,
	})
}

// setUp puts certs/cert.pem and certs/key.pem, the example configurations and the bad ones into the folder of a script.
func setUp(env *testscript.Env) error {
	for _, from := range []string{"examples", "testdata/bad"} {
		to := filepath.Join(env.WorkDir, filepath.Base(from))
		if err := os.CopyFS(to, os.DirFS(filepath.Join("../../configs", from))); err != nil {
			return err
		}
	}
	authority, err := ca.New()
	if err != nil {
		return err
	}
	cert, key, err := authority.Issue(ca.Leaf{CommonName: "edge.example", DNSNames: []string{"edge.example"}})
	if err != nil {
		return err
	}
	dir := filepath.Join(env.WorkDir, "certs")
	return errors.Join(
		os.Mkdir(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o644),
		os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600),
	)
}

// exits runs `exits CODE mqedge ARG...` and wants that exit code and no panic; stdout and stderr are as after exec.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if errs := ts.ReadFile("stderr"); strings.Contains(errs, "panic:") || strings.Contains(errs, "goroutine ") {
		ts.Fatalf("it panicked")
	}
}

// isJSON wants that a file, or stdout, holds one JSON value.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: isjson FILE")
	}
	if !json.Valid([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s is not JSON", args[0])
	}
}

// problem is a line of `mqedge check`.
var problem = regexp.MustCompile(`^\S+\.yaml:\d+:\d+: (warning: )?\S`)

// checkAll runs `mqedge check` on every file of a folder. Each line must name a place, and the exit code must be 2
// unless all of them are warnings.
func checkAll(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: checkall DIR")
	}
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.yaml"))
	ts.Check(err)
	if len(files) < 20 {
		ts.Fatalf("%d files in %s", len(files), args[0])
	}
	for _, file := range files {
		rel := filepath.Join(args[0], filepath.Base(file))
		code := "0"
		if hasErrors(ts, file) {
			code = "2"
		}
		exits(ts, false, []string{code, "mqedge", "check", rel})
		for line := range strings.Lines(ts.ReadFile("stdout")) {
			if !problem.MatchString(line) && line != rel+": ok\n" {
				ts.Fatalf("%s: not a place and a problem: %q", rel, line)
			}
		}
	}
}

// hasErrors looks at what the tests of the configuration expect of a file.
func hasErrors(ts *testscript.TestScript, file string) bool {
	for line := range strings.Lines(ts.ReadFile(strings.TrimSuffix(file, ".yaml") + ".txt")) {
		if !strings.Contains(line, ": warning: ") {
			return true
		}
	}
	return false
}
