package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// GRPC asks grpc.health.v1 about the server as a whole. A server without that
// service is alive when it says so, which takes a working connection.
type GRPC struct {
	TLS func(serverName string) *tls.Config // nil = no encryption
}

// Probe implements [balancer.Prober].
func (p GRPC) Probe(ctx context.Context, addr string) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return unlessCanceled(ctx, p.probe(ctx, addr))
}

func (p GRPC) probe(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	secure := insecure.NewCredentials()
	if p.TLS != nil {
		secure = credentials.NewTLS(p.TLS(host))
	}
	c, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(secure), grpc.WithUserAgent("mqedge-probe"), grpc.WithDisableServiceConfig(), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	switch s := status.Convert(err); {
	case err == nil && answer.Status != grpc_health_v1.HealthCheckResponse_SERVING:
		return fmt.Errorf("grpc.health.v1 says %v", answer.Status)
	case s.Code() == codes.OK, s.Code() == codes.Unimplemented:
		return nil
	default:
		return fmt.Errorf("grpc.health.v1: %s", s.Message())
	}
}
