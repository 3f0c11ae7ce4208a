package edge

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
)

// host writes files below a root of its own.
func host(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	mountV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1 = "35 31 0:32 %s /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"36 31 0:33 %[1]s /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n"
)

func TestTheLimitsOfAControlGroupAndOfThoseItIsInAreFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []budget // of without the root
	}{
		{"a service of systemd below a slice", map[string]string{
			"proc/self/cgroup": "0::/system.slice/mqedge.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/mqedge.service/memory.max":     "1000\n",
			"sys/fs/cgroup/system.slice/mqedge.service/memory.current": "700\n",
			"sys/fs/cgroup/system.slice/mqedge.service/memory.stat":    "anon 300\ninactive_file 250\nactive_file 50\n",
			"sys/fs/cgroup/system.slice/memory.max":                    "5000\n",
			"sys/fs/cgroup/system.slice/memory.current":                "4000\n",
			"sys/fs/cgroup/system.slice/memory.stat":                   "inactive_file 0\n",
		}, []budget{
			{of: "/sys/fs/cgroup/system.slice/mqedge.service/memory.max", limit: 1000, used: 450},
			{of: "/sys/fs/cgroup/system.slice/memory.max", limit: 5000, used: 4000},
		}},
		{"a container with a namespace of its own", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "700\n", "sys/fs/cgroup/memory.stat": "inactive_file 900\n",
		}, []budget{{of: "/sys/fs/cgroup/memory.max", limit: 1000}}},
		{"no limit", map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "700\n",
		}, nil},
		{"version 1, seen as the host does", map[string]string{
			"proc/self/cgroup":                           "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n",
			"proc/self/mountinfo":                        fmt.Sprintf(mountV1, "/docker/abc"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "700\n",
			"sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100\n",
		}, []budget{{of: "/sys/fs/cgroup/memory/memory.limit_in_bytes", limit: 1000, used: 600}}},
		{"version 1, and one above it without a limit", map[string]string{
			"proc/self/cgroup": "4:memory:/a\n", "proc/self/mountinfo": fmt.Sprintf(mountV1, "/"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "700\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "7000\n",
		}, []budget{{of: "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", limit: 1000, used: 700}}},
		{"not Linux", nil, nil},
	} {
		root := host(t, test.files)
		var got []budget
		for _, g := range cgroups(root) {
			if b, ok := g.budget(); ok {
				b.of = strings.TrimPrefix(b.of, root)
				got = append(got, b)
			}
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

func TestAMountShowsALevelForEachGroup(t *testing.T) {
	for _, test := range []struct {
		root, path string
		want       []string
	}{
		{"/", "/a/b", []string{"/m/a/b", "/m/a", "/m"}},
		{"/", "/", []string{"/m"}},
		{"/a", "/a/b", []string{"/m/b", "/m"}},
		{"/a", "/ab", []string{"/m"}},
		{"/a/b", "/", []string{"/m"}},
		{"/../..", "/../../x", []string{"/m/x", "/m"}},
		{"/", "/../../etc", []string{"/m/etc", "/m"}},
		{"/", "", nil},
	} {
		if got := (cgroupMount{root: test.root, point: "/m"}).levels(test.path); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s seen from %s: %q, want %q", test.path, test.root, got, test.want)
		}
	}
}

func FuzzWhatTheKernelSaysOfControlGroups(f *testing.F) {
	f.Add("0::/a\n", mountV2, "max\n", "inactive_file 7\n")
	f.Add("4:cpu,memory:/a/b\n", fmt.Sprintf(mountV1, `/a\040b`), "9223372036854771712", "inactive_file\n")
	f.Fuzz(func(t *testing.T, paths, mounts, limit, stat string) {
		v2, v1 := cgroupPaths(paths)
		for _, m := range cgroupMounts(mounts) {
			m.point = "/m"
			for _, p := range []string{v2, v1} {
				for _, dir := range m.levels(p) {
					if dir != "/m" && !strings.HasPrefix(dir, "/m/") {
						t.Errorf("%q at %q leads out of the mount: %q", p, m.root, dir)
					}
				}
			}
		}
		if n, ok := parseBytes(limit); ok && n >= 1<<60 {
			t.Errorf("%q is a limit of %d", limit, n)
		}
		statBytes(stat, "inactive_file")
	})
}

func TestTheGoMemoryLimitFollowsTheControlGroups(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64)) // the test's own may be limited
	root := host(t, map[string]string{"max": "1000000000000", "current": "7", "stat": ""})
	group := cgroup{limit: filepath.Join(root, "max"), usage: filepath.Join(root, "current"), stat: filepath.Join(root, "stat")}
	want := func(limit int64) {
		t.Helper()
		if got := debug.SetMemoryLimit(-1); got != limit {
			t.Errorf("the Go memory limit is %d, want %d", got, limit)
		}
	}
	off := &budgets{groups: []cgroup{group}}
	off.read()
	want(math.MaxInt64)
	b := &budgets{groups: []cgroup{group}, setGo: true}
	if got := b.read(); len(got) != 1 || got[0].used != 7 || got[0].slack > got[0].limit/20 {
		t.Errorf("%+v", got)
	}
	want(900000000000)
	if err := os.WriteFile(group.limit, []byte("2000000000000\n"), 0o644); err != nil {
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
