package edge

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroup is a control group whose memory may be limited: the kernel ends the
// process, or one beside it, when the limit is reached.
type cgroup struct {
	limit, usage, stat string // files
	inactive           string // what stat calls page cache that nobody misses
}

// cgroups returns the control group of this process and those it is in. The
// files are looked for below root, which is "/" but in tests.
func cgroups(root string) []cgroup {
	paths, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil // not Linux
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	var out []cgroup
	v2, v1 := cgroupPaths(string(paths))
	for _, m := range cgroupMounts(string(mounts)) {
		p := v2
		if m.v1 {
			p = v1
		}
		for _, dir := range m.levels(p) {
			g := newCgroup(filepath.Join(root, dir), m.v1)
			if _, err := os.Stat(g.limit); err == nil {
				out = append(out, g)
			}
		}
	}
	return out
}

func newCgroup(dir string, v1 bool) cgroup {
	if v1 {
		return cgroup{
			limit: filepath.Join(dir, "memory.limit_in_bytes"), usage: filepath.Join(dir, "memory.usage_in_bytes"),
			stat: filepath.Join(dir, "memory.stat"), inactive: "total_inactive_file",
		}
	}
	return cgroup{
		limit: filepath.Join(dir, "memory.max"), usage: filepath.Join(dir, "memory.current"),
		stat: filepath.Join(dir, "memory.stat"), inactive: "inactive_file",
	}
}

// budget reads what the group has; it reports false where there is no limit.
func (g cgroup) budget() (budget, bool) {
	limit, ok := readBytes(g.limit)
	if !ok {
		return budget{}, false
	}
	used, ok := readBytes(g.usage)
	if !ok {
		return budget{}, false
	}
	stat, err := os.ReadFile(g.stat)
	if err == nil {
		used -= min(statBytes(string(stat), g.inactive), used)
	}
	return budget{of: g.limit, limit: limit, used: used}, true
}

func readBytes(file string) (n uint64, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	return parseBytes(string(text))
}

// parseBytes reads a number; one that stands for no limit is none.
func parseBytes(text string) (n uint64, ok bool) {
	const unlimited = 1 << 60 // version 1 says so by what is left of 63 bits in whole pages
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n < unlimited // version 2 says "max"
}

// statBytes finds a value of a memory.stat file; what is not there is 0.
func statBytes(text, key string) uint64 {
	for line := range strings.Lines(text) {
		if name, value, _ := strings.Cut(line, " "); name == key {
			n, _ := parseBytes(value)
			return n
		}
	}
	return 0
}

// cgroupPaths reads /proc/self/cgroup: where the process is in the hierarchy of
// version 2 and in that of version 1 which has the memory controller, or "".
func cgroupPaths(text string) (v2, v1 string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[0] == "0" && fields[1] == "":
			v2 = fields[2]
		case hasWord(fields[1], "memory"):
			v1 = fields[2]
		}
	}
	return v2, v1
}

// cgroupMount is where a part of a hierarchy can be seen.
type cgroupMount struct {
	root, point string
	v1          bool
}

// cgroupMounts reads those of /proc/self/mountinfo that may limit memory (proc(5)).
func cgroupMounts(text string) []cgroupMount {
	var out []cgroupMount
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := cgroupMount{root: unescapeOctal(left[3]), point: unescapeOctal(left[4]), v1: right[0] == "cgroup"}
		if right[0] == "cgroup2" || m.v1 && hasWord(right[2], "memory") {
			out = append(out, m)
		}
	}
	return out
}

// levels returns the folders of the group at p and of those it is in, as far as
// the mount shows them.
func (m cgroupMount) levels(p string) []string {
	if p == "" {
		return nil
	}
	// In a container the mount may begin at its own group, while p is still as
	// the host sees it, or already as the container does.
	inside := path.Clean("/" + p)
	if root := path.Clean("/" + m.root); root != "/" {
		rest, ok := strings.CutPrefix(inside, root)
		if !ok || rest != "" && rest[0] != '/' {
			rest = ""
		}
		inside = path.Clean("/" + rest)
	}
	var out []string
	for {
		out = append(out, path.Join(m.point, inside))
		if inside == "/" {
			return out
		}
		inside = path.Dir(inside)
	}
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// unescapeOctal undoes how mountinfo writes blanks and backslashes.
func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
