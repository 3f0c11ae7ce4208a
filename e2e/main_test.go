package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// mqedge is the program under test, built once by TestMain.
var mqedge string

// patience bounds every wait for something that has to happen.
func patience() time.Duration {
	if underRace {
		return 60 * time.Second
	}
	return 30 * time.Second
}

func TestMain(m *testing.M) {
	if addresses := os.Getenv(instanceVariable); addresses != "" {
		serveInstance(addresses)
		return
	}
	if runtime.GOOS != "linux" {
		fmt.Println("e2e: NOT TESTED: the tests need Linux, for /proc and for all of 127.0.0.0/8")
		return
	}
	dir, err := os.MkdirTemp("", "mqedge-e2e-")
	if err == nil {
		mqedge = filepath.Join(dir, "mqedge")
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build() error {
	args := []string{"build", "-o", mqedge}
	if underRace {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../cmd/mqedge")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build mqedge: %w\n%s", err, out)
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check finds nothing to complain about.
func eventually(t testing.TB, check func() (complaint string)) {
	t.Helper()
	deadline := time.After(patience())
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("after %v still: %s", patience(), complaint)
		}
	}
}

// program finds a program that a test cannot do without. On CI it has to be there.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // the system's folders are not in everybody's PATH
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err == nil {
		return path
	}
	without(t, name+" is not installed: see `make tools`")
	return ""
}

// without ends a test for which the host lacks something: on CI as a failure, elsewhere it is said.
func without(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip("NOT TESTED: " + what)
}

func mustWrite(t testing.TB, file string, text []byte) {
	t.Helper()
	must(t, os.WriteFile(file, text, 0o644))
}
