package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// CPU is the user and system time of pid and its living descendants, all threads, in nanoseconds as the kernel counts
// them (the clock of clock_getcpuclockid(3)), not in ticks.
func CPU(pid int) (time.Duration, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, each := range pids {
		spent, err := clock(each)
		if err != nil {
			return 0, fmt.Errorf("CPU clock of process %d: %w", each, err)
		}
		total += spent
	}
	return total, nil
}

// PSS is the memory in bytes that pid and its living descendants have resident, a page shared by n processes counted as
// one n-th in each.
func PSS(pid int) (int64, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, each := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", each))
		if err != nil {
			return 0, fmt.Errorf("%w (the workers of another user are readable for root only)", err)
		}
		kib, err := pss(raw)
		if err != nil {
			return 0, fmt.Errorf("memory of process %d: %w", each, err)
		}
		total += kib << 10
	}
	return total, nil
}

// FDs is how many files and sockets pid and its living descendants have open.
func FDs(pid int) (n int, err error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	for _, each := range pids {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", each))
		if err != nil {
			return 0, err
		}
		n += len(entries)
	}
	return n, nil
}

func pss(rollup []byte) (kib int64, err error) {
	for line := range bytes.Lines(rollup) {
		if value, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
			number := bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))
			return strconv.ParseInt(string(number), 10, 64)
		}
	}
	return 0, fmt.Errorf("no Pss line in smaps_rollup")
}

// clock reads the CPU clock of a process. The id is MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of linux/posix-timers.h.
func clock(pid int) (time.Duration, error) {
	const sched = 2
	id := ^pid<<3 | sched
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}

// family is pid and its descendants.
func family(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // gone since the directory was read
		}
		parent, err := parentOf(string(stat))
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", child, err)
		}
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// parentOf takes the parent from a line of /proc/PID/stat; the name in it may hold spaces and parentheses.
func parentOf(stat string) (int, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("unexpected stat line %q", stat)
	}
	return strconv.Atoi(fields[1])
}
