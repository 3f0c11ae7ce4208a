package systemd

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

func TestSystemdIsToldInItsOwnWords(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	n := Notifier{Failed: func(err error) { t.Error(err) }}
	for _, c := range []struct {
		say  func()
		want string
	}{
		{func() { n.Ready("2 listeners") }, "READY=1\nSTATUS=2 listeners"},
		{n.Reloading, "RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\nSTATUS=reloading"},
		{func() { n.Stopping(90*time.Second, "draining") }, "STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\nSTATUS=draining"},
		{func() { n.Successor(4711) }, "MAINPID=4711"},
		{func() { n.Status("fine") }, "STATUS=fine"},
		{n.Alive, "WATCHDOG=1"},
	} {
		c.say()
		b := make([]byte, 1024)
		size, err := l.Read(b)
		if err != nil || !regexp.MustCompile("^"+c.want+"$").Match(b[:size]) {
			t.Errorf("%q, %v; want %q", b[:size], err, c.want)
		}
	}
}

func TestWithoutSystemdNothingIsSaidOrGiven(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	Notifier{Failed: func(err error) { t.Error(err) }}.Ready("")
	if d, err := Watchdog(); d != 0 || err != nil || Notified() || len(Sockets()) != 0 {
		t.Errorf("%v, %v", d, err)
	}
}

func TestANotifySocketThatIsGoneIsReported(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	failed := false
	Notifier{Failed: func(error) { failed = true }}.Alive()
	if !failed {
		t.Error("nobody heard of it")
	}
}

func TestWhatSystemdMeantForAnotherProcessIsLeftAlone(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()+1))
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()+1))
	if d, err := Watchdog(); d != 0 || err != nil || len(Sockets()) != 0 {
		t.Errorf("%v, %v", d, err)
	}
}
