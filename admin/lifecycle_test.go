package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// endDuringReload serves p, posts a reload, and tells the server to end while it is under way.
func endDuringReload(t *testing.T, p *process, grace time.Duration) (addr string, ended <-chan error, answered <-chan int) {
	t.Helper()
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Source: p, Control: p, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	s.grace = grace
	ctx, cancel := context.WithCancel(context.Background())
	end, status := make(chan error, 1), make(chan int, 1)
	go func() { end <- s.Serve(ctx, l) }()
	go func() {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Post("http://"+l.Addr().String()+"/api/v1/reload", "", nil)
		if err != nil {
			status <- 0
			return
		}
		_ = answer.Body.Close()
		status <- answer.StatusCode
	}()
	<-p.reloading
	cancel()
	return l.Addr().String(), end, status
}

func TestServeLetsARequestUnderWayFinish(t *testing.T) {
	p := &process{reloading: make(chan struct{}), release: make(chan struct{})}
	_, ended, answered := endDuringReload(t, p, time.Minute)
	select {
	case err := <-ended:
		t.Errorf("it ended before the request: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(p.release)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeEndsThoughARequestDoesNot(t *testing.T) {
	p := &process{reloading: make(chan struct{})}
	addr, ended, answered := endDuringReload(t, p, 50*time.Millisecond)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status := <-answered; status != 0 {
		t.Errorf("answered %d", status)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s := New(Options{Source: &process{}, Control: &process{}, Gatherer: prometheus.NewRegistry()})
	if err := s.Serve(context.Background(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
