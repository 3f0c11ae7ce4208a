// Package cgroup reads what the control groups of this process, of version 1 and
// 2, allow it. It changes nothing.
package cgroup

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is a control group whose memory may be limited: the kernel ends the
// process, or one beside it, when the limit is reached.
type Memory struct {
	Limit, Usage, Stat string // files
	inactive           string // what Stat calls page cache that nobody misses
}

// Groups returns the control group of this process and those it is in. The
// files are looked for below root, which is "/" but in tests and where the files
// of a host are seen from a container. Where there are no groups it returns none.
func Groups(root string) []Memory {
	var out []Memory
	for _, g := range groups(root, "memory") {
		m := newMemory(g.dir, g.v1)
		if _, err := os.Stat(m.Limit); err == nil {
			out = append(out, m)
		}
	}
	return out
}

func newMemory(dir string, v1 bool) Memory {
	if v1 {
		return Memory{
			Limit: filepath.Join(dir, "memory.limit_in_bytes"), Usage: filepath.Join(dir, "memory.usage_in_bytes"),
			Stat: filepath.Join(dir, "memory.stat"), inactive: "total_inactive_file",
		}
	}
	return Memory{
		Limit: filepath.Join(dir, "memory.max"), Usage: filepath.Join(dir, "memory.current"),
		Stat: filepath.Join(dir, "memory.stat"), inactive: "inactive_file",
	}
}

// Read returns the limit of the group and what counts against it, in bytes. It
// reports false where there is no limit.
func (m Memory) Read() (limit, used uint64, ok bool) {
	limit, ok = readBytes(m.Limit)
	if !ok {
		return 0, 0, false
	}
	used, ok = readBytes(m.Usage)
	if !ok {
		return 0, 0, false
	}
	stat, err := os.ReadFile(m.Stat)
	if err == nil {
		used -= min(statBytes(string(stat), m.inactive), used)
	}
	return limit, used, true
}

// Processors returns how many processors this process may use at most by the
// quotas of its control groups, 0.5 for half of one, and the file that says so.
// It reports false where there is no quota.
func Processors(root string) (n float64, file string, ok bool) {
	for _, g := range groups(root, "cpu") {
		name := filepath.Join(g.dir, "cpu.max")
		text, err := os.ReadFile(name)
		if g.v1 {
			name = filepath.Join(g.dir, "cpu.cfs_quota_us")
			quota, quotaErr := os.ReadFile(name)
			period, periodErr := os.ReadFile(filepath.Join(g.dir, "cpu.cfs_period_us"))
			text, err = []byte(string(quota)+" "+string(period)), errors.Join(quotaErr, periodErr)
		}
		if err != nil {
			continue
		}
		if share, limited := parseQuota(string(text)); limited && (!ok || share < n) {
			n, file, ok = share, name, true
		}
	}
	return n, file, ok
}

// parseQuota reads a quota and its period, both in microseconds. Version 2 says
// "max" for no quota, and version 1 "-1".
func parseQuota(text string) (n float64, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0, false
	}
	quota, err := strconv.ParseUint(fields[0], 10, 64)
	period, err2 := strconv.ParseUint(fields[1], 10, 64)
	if err != nil || err2 != nil || quota == 0 || period == 0 {
		return 0, false
	}
	return float64(quota) / float64(period), true
}

// group is a folder of a hierarchy.
type group struct {
	dir string
	v1  bool
}

// groups returns the group of this process and those it is in, of the
// hierarchies that have the controller or may have it.
func groups(root, controller string) []group {
	paths, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil // not Linux
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	var out []group
	v2, v1 := parsePaths(string(paths), controller)
	for _, m := range parseMounts(string(mounts), controller) {
		p := v2
		if m.v1 {
			p = v1
		}
		for _, dir := range m.levels(p) {
			out = append(out, group{filepath.Join(root, dir), m.v1})
		}
	}
	return out
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

// parsePaths reads /proc/self/cgroup: where the process is in the hierarchy of
// version 2 and in that of version 1 which has the controller, or "".
func parsePaths(text, controller string) (v2, v1 string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[0] == "0" && fields[1] == "":
			v2 = fields[2]
		case hasWord(fields[1], controller):
			v1 = fields[2]
		}
	}
	return v2, v1
}

// mount is where a part of a hierarchy can be seen.
type mount struct {
	root, point string
	v1          bool
}

// parseMounts reads those of /proc/self/mountinfo that may have the controller (proc(5)).
func parseMounts(text, controller string) []mount {
	var out []mount
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := mount{root: unescapeOctal(left[3]), point: unescapeOctal(left[4]), v1: right[0] == "cgroup"}
		if right[0] == "cgroup2" || m.v1 && hasWord(right[2], controller) {
			out = append(out, m)
		}
	}
	return out
}

// levels returns the folders of the group at p and of those it is in, as far as
// the mount shows them.
func (m mount) levels(p string) []string {
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
