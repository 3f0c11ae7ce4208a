package process

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestTheCPUClockFollowsTheWorkOfAProcess(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(5 * time.Second); ; { // however little of the host is free
		after, err := CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after-before >= 10*time.Millisecond {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s of CPU for 5 s of spinning", after-before)
		}
	}
}

func TestDescendantsCountTowardsAProcess(t *testing.T) {
	own, err := PSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close(); _ = child.Wait() }()
	pids, err := family(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if len(pids) != 2 || pids[1] != child.Process.Pid {
		t.Errorf("family %v, want this process and %d", pids, child.Process.Pid)
	}
	both, err := PSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if both <= own/2 {
		t.Errorf("%d bytes with the child, %d without", both, own)
	}
}

func TestTheTimeOfTheHostIsAllButIdleAndWaiting(t *testing.T) {
	busy, err := hostBusy([]byte("cpu  10 2 30 4000 500 6 7 8 9 1\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
	if err != nil || busy != 630*time.Millisecond {
		t.Errorf("%s (%v), want 630 ms", busy, err)
	}
	for _, bad := range []string{"", "cpu 1 2\n", "cpu 1 2 3 4 5 6 7 x\n"} {
		if _, err := hostBusy([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
	if busy, err := HostCPU(); err != nil || busy <= 0 {
		t.Errorf("%s (%v), want some", busy, err)
	}
}

func TestOpenFilesAreCounted(t *testing.T) {
	before, err := FDs(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	after, err := FDs(os.Getpid())
	if err != nil || after != before+3 {
		t.Errorf("%d open (%v), want 3 more than %d", after, err, before)
	}
}

func TestAParentIsFoundWhateverTheNameOfTheProcess(t *testing.T) {
	for _, line := range []string{"12 (cat) S 7 12", "12 (a) b) S 3 (x) S 7 12", "12 () R 7"} {
		if parent, err := parentOf(line); err != nil || parent != 7 {
			t.Errorf("parent in %q is %d (%v), want 7", line, parent, err)
		}
	}
	if _, err := parentOf("12 (cat)"); err == nil {
		t.Error("a cut line has a parent")
	}
}

func TestPSSIsReadFromTheRollup(t *testing.T) {
	kib, err := pss([]byte("00400000-7ffc r--p 00 00:00 0 [rollup]\nRss:   9000 kB\nPss:   1234 kB\nPss_Anon: 5 kB\n"))
	if err != nil || kib != 1234 {
		t.Errorf("%d kB (%v), want 1234", kib, err)
	}
	if _, err := pss([]byte("Rss: 1 kB\n")); err == nil {
		t.Error("no error without a Pss line")
	}
}
