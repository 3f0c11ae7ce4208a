package e2e

import (
	"io"
	"os"
	"syscall"
	"testing"
)

func TestNobodyReadingTheLogAnyMoreEndsNothing(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	e := newEdge(t, `
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: `+endpoints(node.address())+`}
`)
	r, w, err := os.Pipe()
	must(t, err)
	e.cmd.Stderr = w
	copied := make(chan struct{})
	go func() { io.Copy(e.stderr, r); close(copied) }()
	e.launch()
	w.Close()
	e.awaitReady()
	device := mustConnect(t, e.addr("mqtt"), nil, "stays")
	defer device.Close()

	r.Close() // as when a log collector dies
	<-copied
	for range 3 {
		e.signal(syscall.SIGHUP) // logs a line each
	}
	eventually(t, func() string {
		if e.metrics()[`mqedge_reloads_total{result="ok"}`] < 1 {
			return "not reloaded"
		}
		return ""
	})
	mustConnect(t, e.addr("mqtt"), nil, "comes").Close()
}
