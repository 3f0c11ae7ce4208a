package edge

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/mqedge/mqedge/edge/cgroup"
)

func TestTheGoMemoryLimitFollowsTheControlGroups(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64)) // the test's own may be limited
	root := t.TempDir()
	for name, text := range map[string]string{"max": "1000000000000", "current": "7", "stat": ""} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	group := cgroup.Memory{Limit: filepath.Join(root, "max"), Usage: filepath.Join(root, "current"), Stat: filepath.Join(root, "stat")}
	want := func(limit int64) {
		t.Helper()
		if got := debug.SetMemoryLimit(-1); got != limit {
			t.Errorf("the Go memory limit is %d, want %d", got, limit)
		}
	}
	off := &budgets{groups: []cgroup.Memory{group}}
	off.read()
	want(math.MaxInt64)
	b := &budgets{groups: []cgroup.Memory{group}, setGo: true}
	if got := b.read(); len(got) != 1 || got[0].used != 7 || got[0].slack > got[0].limit/20 {
		t.Errorf("%+v", got)
	}
	want(900000000000)
	if err := os.WriteFile(group.Limit, []byte("2000000000000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.read()
	want(1800000000000)
	b.close()
	want(math.MaxInt64)
}

func TestWhatCountsAgainstTheGoMemoryLimitIsMoreThanWhatIsNeeded(t *testing.T) {
	used, slack := goMemory()
	if used < 1<<20 || slack == 0 || slack > used {
		t.Errorf("%d used, of that %d slack", used, slack)
	}
	held := make([]byte, 64<<20)
	for i := range held {
		held[i] = 1
	}
	if more, _ := goMemory(); more < used+60<<20 {
		t.Errorf("%d used, and with 64 MiB more %d", used, more)
	}
	debug.FreeOSMemory()
	all, slack := goMemory()
	if needed := (budget{used: all, slack: slack}).needed(); needed < 64<<20 {
		t.Errorf("%d are needed though 64 MiB are in use", needed)
	}
	held[0] = 2
}
