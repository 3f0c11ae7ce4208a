package probe_test

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mqedge/mqedge/balancer/probe"
)

// startGRPC runs a server, with the health service if there is one.
func startGRPC(t *testing.T, h *health.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	if h != nil {
		grpc_health_v1.RegisterHealthServer(s, h)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(l) // until Stop
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return l.Addr().String()
}

func TestGRPCAsksTheHealthServiceWhereThereIsOne(t *testing.T) {
	h := health.NewServer()
	addr := startGRPC(t, h)
	if err := (probe.GRPC{}).Probe(t.Context(), addr); err != nil {
		t.Error(err)
	}
	h.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if err := (probe.GRPC{}).Probe(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "NOT_SERVING") {
		t.Errorf("not serving: %v", err)
	}
	if err := (probe.GRPC{}).Probe(t.Context(), startGRPC(t, nil)); err != nil {
		t.Errorf("without the service: %v", err)
	}
}

func TestGRPCNamesWhatKeepsItFromAsking(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if err := (probe.GRPC{}).Probe(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}
