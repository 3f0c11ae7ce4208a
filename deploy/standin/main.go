// Standin takes the place of an EMQX image where that cannot be pulled, to try the compose files: a broker with PROXY protocol at
// EMQX's port, and EMQX's answers to health checks. Nodes of it form no cluster. It reads the two variables of EMQX that move ports.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mqedge/mqedge/demo/broker"
)

func main() {
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "ctl" { // as in `emqx ctl status` of health checks
		run = status
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	b, err := broker.Start(broker.Options{
		Addr:          bind("EMQX_LISTENERS__TCP__DEFAULT__BIND", "1883"),
		ProxyProtocol: true,
		Logger:        log,
		OnEvent:       func(e broker.Event) { log.Info("client", "event", fmt.Sprint(e)) },
	})
	if err != nil {
		return err
	}
	defer b.Close()
	s := &http.Server{Addr: dashboard(), ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(answer)}
	failed := make(chan error, 1)
	go func() { failed <- s.ListenAndServe() }()
	log.Info("in place of EMQX", "node", os.Getenv("EMQX_NODE__NAME"), "mqtt", b.Addr(), "dashboard", s.Addr)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return s.Close()
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/status", "/api/v5/load_rebalance/availability_check":
		fmt.Fprintln(w, "Node", os.Getenv("EMQX_NODE__NAME"), "is started\nemqx is running")
	default:
		http.NotFound(w, r)
	}
}

func status() error {
	_, port, err := net.SplitHostPort(dashboard())
	if err != nil {
		return err
	}
	c := http.Client{Timeout: 5 * time.Second}
	got, err := c.Get("http://127.0.0.1:" + port + "/status")
	if err != nil {
		return err
	}
	return got.Body.Close()
}

func dashboard() string { return bind("EMQX_DASHBOARD__LISTENERS__HTTP__BIND", "18083") }

// bind reads an address as EMQX does: a port, or host:port in quotes.
func bind(variable, port string) string {
	at := strings.Trim(cmp.Or(os.Getenv(variable), port), `"`)
	if !strings.Contains(at, ":") {
		at = "0.0.0.0:" + at
	}
	return at
}
