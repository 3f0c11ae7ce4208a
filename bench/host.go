//go:build linux

package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/mqedge/mqedge/bench/report"
)

// host describes this machine. What cannot be read stays empty.
func host() report.Host {
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	return report.Host{
		Time:     time.Now().UTC(),
		Kernel:   content("/proc/sys/kernel/osrelease"),
		CPU:      field("/proc/cpuinfo", "model name"),
		Cores:    runtime.NumCPU(),
		Memory:   kib << 10,
		Governor: content("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Go:       runtime.Version(),
	}
}

// field is the first value of that name in a file of lines like "name : value".
func field(path, name string) string {
	for line := range strings.Lines(content(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func content(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
