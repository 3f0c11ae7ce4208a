package edge

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// successor is a program that takes a process's place as soon as a word is written to the file that is returned, and that ends
// when it is let go of or told to.
func successor(t *testing.T, then string) (o UpgradeOptions, say *os.File) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "say")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	say, err := os.OpenFile(fifo, os.O_RDWR, 0) // opens at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { say.Close() })
	return UpgradeOptions{Program: "/bin/sh", Args: []string{"-c", "read word <" + fifo + "; echo serves >&4; " + then}, Within: time.Minute}, say
}

func TestAProcessThatBeginsToDrainBeforeTheNewOneServesIsNotReplaced(t *testing.T) {
	h := startEdge(t, "drain: {delay: 1h}\n"+plainListener, Options{})
	o, say := successor(t, "exec cat <&3 >/dev/null")
	o.Serving = func(int) { t.Error("it gives way all the same") }
	upgraded := make(chan error, 1)
	go func() { upgraded <- h.Upgrade(t.Context(), o) }()
	eventually(t, func() bool { return h.handing.Load() })
	h.drain()
	eventually(t, func() bool { return h.draining.Load() })
	if _, err := say.WriteString("now\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-upgraded:
		if !errors.Is(err, errDraining) {
			t.Errorf("%v; want %v", err, errDraining)
		}
	case <-time.After(10 * time.Second):
		t.Error("the new process is left to itself until the drain is over")
		h.stop()
		<-upgraded
	}
}

func TestANewProcessThatEndsBeforeTheOldOneIsToldOf(t *testing.T) {
	h := startEdge(t, plainListener, Options{})
	o, say := successor(t, "read rest <&3; exit 9") // ends once it is let go of
	if _, err := say.WriteString("now\n"); err != nil {
		t.Fatal(err)
	}
	if err := h.Upgrade(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return strings.Contains(h.log.String(), "the new process has ended") && strings.Contains(h.log.String(), "exit status 9")
	})
}

const plainListener = `
listeners: {plain: {bind: 127.0.0.1:0, protocol: tcp, upstream: echo}}
upstreams: {echo: {endpoints: [{address: ECHO}]}}
admin: {bind: ""}
`
