package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestALogThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	r, w := io.Pipe()
	l := newLogWriter(w)
	running := start(l.run)
	eventually(t, l.runs.Load)
	for i := range 3 * logLines {
		fmt.Fprintf(l, "line %d\n", i)
	}
	if l.lost.Load() == 0 {
		t.Error("no line was lost")
	}
	stopped := make(chan struct{})
	go func() { running.stop(); close(stopped) }()
	<-stopped // though the reader is stuck
	read := make(chan struct{})
	go func() { io.Copy(io.Discard, r); close(read) }()
	eventually(t, func() bool { return len(l.lines) == 0 })
	w.Close()
	<-read
}

func TestTheLogTellsOfLostLinesAndKeepsTheRest(t *testing.T) {
	var out logBuffer
	l := newLogWriter(&out)
	l.runs.Store(true) // queue without a writer
	for i := range logLines + 7 {
		fmt.Fprintf(l, "line %d\n", i)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.run(ctx)
	text := out.String()
	if n := strings.Count(text, "line "); n != logLines {
		t.Errorf("%d lines were written", n)
	}
	if !bytes.Contains([]byte(text), []byte("lines=7")) {
		t.Error("the loss is not told")
	}
}
