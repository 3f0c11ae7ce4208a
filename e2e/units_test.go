package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/configs"
)

const (
	unitFolder = "../deploy/systemd/"
	installed  = "/usr/local/bin/mqedge" // where the units look for the program
)

// unit are the lines of a unit file, by key.
func unit(t testing.TB, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(unitFolder + name)
	must(t, err)
	lines := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			lines[key] = append(lines[key], value)
		}
	}
	return lines
}

func TestTheUnitsOfSystemdSayWhatTheProgramUnderstands(t *testing.T) {
	t.Parallel()
	u := unit(t, "mqedge.service")
	dir := t.TempDir()
	node := startFake(t, acknowledge)
	mustWrite(t, filepath.Join(dir, "mqedge.yaml"), []byte("listeners: {mqtts: {bind: 127.0.0.1:0, upstream: emqx}}\nupstreams: {emqx: {endpoints: "+endpoints(node.address())+"}}\n"))
	command := func(line string) []string {
		words := strings.Fields(strings.ReplaceAll(line, "/etc/mqedge/", dir+"/"))
		if words[0] != installed {
			t.Fatalf("%q does not run %s", line, installed)
		}
		return words[1:]
	}
	if _, errs, code := run(t, command(u["ExecReload"][0])...); code != 0 {
		t.Errorf("%s: %d %s", u["ExecReload"][0], code, errs)
	}
	if u["ExecReload"][1] != "/bin/kill -HUP $MAINPID" {
		t.Error(u["ExecReload"][1])
	}
	args := command(u["ExecStart"][0])
	if args[0] != "run" {
		t.Fatal(args)
	}
	if out, _, code := run(t, append(args, "--help")...); code != 0 || !strings.Contains(out, "-c") { // all flags are known
		t.Errorf("%s: %d %s", u["ExecStart"][0], code, out)
	}
	for key, want := range map[string]string{"Type": "notify", "NotifyAccess": "main", "KillMode": "mixed"} {
		if !slices.Equal(u[key], []string{want}) {
			t.Errorf("%s=%q, want %s", key, u[key], want)
		}
	}
	stop, err := time.ParseDuration(u["TimeoutStopSec"][0])
	must(t, err)
	if d := configs.Default().Drain; stop <= d.Delay+d.Deadline+11*time.Second {
		t.Errorf("TimeoutStopSec=%v is less than a drain takes", stop)
	}
	s := unit(t, "mqedge.socket")
	if len(s["ListenStream"]) == 0 || len(s["FileDescriptorName"]) != 1 {
		t.Errorf("%v", s)
	}
}

func TestSystemdFindsNothingWrongWithTheUnits(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("NOT TESTED: systemd-analyze is not installed here")
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"mqedge.service", "mqedge.socket"} {
		text, err := os.ReadFile(unitFolder + name)
		must(t, err)
		mustWrite(t, filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), installed, mqedge)))
	}
	out, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "mqedge.service"), filepath.Join(dir, "mqedge.socket")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
