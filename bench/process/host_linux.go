package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// HostCPU is the time that all cores together have been busy since the host started, in ticks of 10 ms. What a hypervisor
// took away counts as busy.
func HostCPU() (time.Duration, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return hostBusy(raw)
}

// hostBusy adds up the first line of /proc/stat: user, nice, system, irq, softirq and steal, without idle and iowait
// (proc_stat(5)). The guest times after them are part of user and nice.
func hostBusy(stat []byte) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("unexpected line in /proc/stat: %q", line)
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		ticks, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		busy += time.Duration(ticks) * tick
	}
	return busy, nil
}
