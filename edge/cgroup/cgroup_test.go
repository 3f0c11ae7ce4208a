package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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

// limited is what a group has; of is the file of the limit, below the root.
type limited struct {
	of          string
	limit, used uint64
}

func TestTheLimitsOfAControlGroupAndOfThoseItIsInAreFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []limited
	}{
		{"a service of systemd below a slice", map[string]string{
			"proc/self/cgroup": "0::/system.slice/mqedge.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/mqedge.service/memory.max":     "1000\n",
			"sys/fs/cgroup/system.slice/mqedge.service/memory.current": "700\n",
			"sys/fs/cgroup/system.slice/mqedge.service/memory.stat":    "anon 300\ninactive_file 250\nactive_file 50\n",
			"sys/fs/cgroup/system.slice/memory.max":                    "5000\n",
			"sys/fs/cgroup/system.slice/memory.current":                "4000\n",
			"sys/fs/cgroup/system.slice/memory.stat":                   "inactive_file 0\n",
		}, []limited{
			{of: "/sys/fs/cgroup/system.slice/mqedge.service/memory.max", limit: 1000, used: 450},
			{of: "/sys/fs/cgroup/system.slice/memory.max", limit: 5000, used: 4000},
		}},
		{"a container with a namespace of its own", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "700\n", "sys/fs/cgroup/memory.stat": "inactive_file 900\n",
		}, []limited{{of: "/sys/fs/cgroup/memory.max", limit: 1000}}},
		{"no limit", map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "700\n",
		}, nil},
		{"version 1, seen as the host does", map[string]string{
			"proc/self/cgroup":                           "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n",
			"proc/self/mountinfo":                        fmt.Sprintf(mountV1, "/docker/abc"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "700\n",
			"sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100\n",
		}, []limited{{of: "/sys/fs/cgroup/memory/memory.limit_in_bytes", limit: 1000, used: 600}}},
		{"version 1, and one above it without a limit", map[string]string{
			"proc/self/cgroup": "4:memory:/a\n", "proc/self/mountinfo": fmt.Sprintf(mountV1, "/"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "700\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "7000\n",
		}, []limited{{of: "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", limit: 1000, used: 700}}},
		{"not Linux", nil, nil},
	} {
		root := host(t, test.files)
		var got []limited
		for _, m := range Groups(root) {
			if limit, used, ok := m.Read(); ok {
				got = append(got, limited{strings.TrimPrefix(m.Limit, root), limit, used})
			}
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

func TestTheLeastQuotaOfProcessorsCounts(t *testing.T) {
	const mountCPU = "35 31 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  float64 // 0: no quota
		of    string
	}{
		{"a service in a slice with less", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/b/cpu.max": "200000 100000\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
		}, 0.5, "/sys/fs/cgroup/a/cpu.max"},
		{"no quota", map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/a/cpu.max": "max 100000\n",
		}, 0, ""},
		{"version 1", map[string]string{
			"proc/self/cgroup": "4:cpuacct,cpu:/a\n", "proc/self/mountinfo": mountCPU,
			"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "150000\n", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 1.5, "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us"},
		{"not Linux", nil, 0, ""},
	} {
		root := host(t, test.files)
		n, of, ok := Processors(root)
		if of = strings.TrimPrefix(of, root); n != test.want || of != test.of || ok != (test.want != 0) {
			t.Errorf("%s: %v by %q, %v", test.name, n, of, ok)
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
		if got := (mount{root: test.root, point: "/m"}).levels(test.path); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s seen from %s: %q, want %q", test.path, test.root, got, test.want)
		}
	}
}

func FuzzWhatTheKernelSaysOfControlGroups(f *testing.F) {
	f.Add("0::/a\n", mountV2, "max\n", "inactive_file 7\n")
	f.Add("4:cpu,memory:/a/b\n", fmt.Sprintf(mountV1, `/a\040b`), "9223372036854771712", "inactive_file\n")
	f.Fuzz(func(t *testing.T, paths, mounts, limit, stat string) {
		v2, v1 := parsePaths(paths, "memory")
		for _, m := range parseMounts(mounts, "memory") {
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
		if n, ok := parseQuota(stat); ok && !(n > 0) {
			t.Errorf("%q is a quota of %v", stat, n)
		}
	})
}
