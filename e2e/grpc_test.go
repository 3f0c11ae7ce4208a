package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// startService is a gRPC server of no particular service: it gives back each message with its name in front, what the metadata has under "x-ask" as
// header, and in the trailers how many messages came. The method Fail fails.
func startService(t testing.TB, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		path, _ := grpc.MethodFromServerStream(stream)
		md, _ := metadata.FromIncomingContext(stream.Context())
		if err := stream.SetHeader(metadata.Pairs("x-answer", strings.Join(md.Get("x-ask"), ","), "bytes-bin", "\x00\xff")); err != nil {
			return err
		}
		n := 0
		defer func() { stream.SetTrailer(metadata.Pairs("x-count", fmt.Sprint(n))) }()
		for ; ; n++ {
			var message []byte
			switch err := stream.RecvMsg(&message); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
			if strings.HasSuffix(path, "/Fail") {
				return status.Error(codes.FailedPrecondition, "not today: 不")
			}
			answer := append([]byte(name+" "), message...)
			if err := stream.SendMsg(&answer); err != nil {
				return err
			}
		}
	}))
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

func balancing(more string, addresses ...string) string {
	return fmt.Sprintf(`
listeners:
  grpc: {bind: "127.0.0.1:0", protocol: grpc, upstream: services}
upstreams:
  services: {%s, endpoints: %s}
`, more, endpoints(addresses...))
}

func TestCallsOfAnyServicePassWithMetadataTrailersAndStatus(t *testing.T) {
	t.Parallel()
	e := start(t, balancing("balance: round_robin", startService(t, "a")))
	c := startEMQX(t, e.addr("grpc"), "", insecure.NewCredentials()).conn
	ctx, cancel := context.WithTimeout(context.Background(), patience())
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-ask", "what")

	var header, trailer metadata.MD
	in, out := []byte("hello"), []byte(nil)
	err := c.Invoke(ctx, "/any.Service/Unary", &in, &out, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || string(out) != "a hello" {
		t.Fatalf("%q %v", out, err)
	}
	if fmt.Sprint(header["x-answer"], header["bytes-bin"], trailer["x-count"]) != "[what] [\x00\xff] [1]" {
		t.Errorf("header %v, trailer %v", header, trailer)
	}
	err = c.Invoke(ctx, "/any.Service/Fail", &in, &out)
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "not today: 不" {
		t.Errorf("a status came as %v", err)
	}

	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/any.Service/Stream")
	must(t, err)
	large := []byte(strings.Repeat("x", 1<<20))
	const messages = 20
	for i := range messages { // each is answered before the next is sent
		message := append([]byte(fmt.Sprint(i, " ")), large...)
		must(t, stream.SendMsg(&message))
		var got []byte
		must(t, stream.RecvMsg(&got))
		if string(got) != "a "+string(message) {
			t.Fatalf("message %d came back as %d bytes", i, len(got))
		}
	}
	must(t, stream.CloseSend())
	if err := stream.RecvMsg(new([]byte)); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the stream: %v", err)
	}
	if got := fmt.Sprint(stream.Trailer()["x-count"]); got != "[20]" {
		t.Errorf("the trailer says %s messages", got)
	}
	e.awaitMetric(`mqedge_grpc_calls_total{code="OK",method="other",upstream="services"}`, 2)
	e.awaitMetric(`mqedge_grpc_calls_total{code="FailedPrecondition",method="other",upstream="services"}`, 1)
}

func TestWhatIsNotHTTP2IsClosedAndCounted(t *testing.T) {
	t.Parallel()
	e := start(t, balancing("balance: round_robin", startService(t, "a")))
	c, err := net.Dial("tcp", e.addr("grpc"))
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patience())))
	_, err = io.WriteString(c, http2.ClientPreface+"\x00\x00\x01\x00\x00\x00\x00\x00\x00x") // DATA on stream 0
	must(t, err)
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection did not end: %v", err)
	}
	e.awaitMetric(`mqedge_grpc_refused_total{reason="connection",upstream="services"}`, 1)
	e.awaitMetric(`mqedge_grpc_refused_total{reason="call",upstream="services"}`, 0)
}

func TestCallsWithOneMetadataValueGoToOneEndpointAndAllEndpointsHaveSome(t *testing.T) {
	t.Parallel()
	e := start(t, balancing("balance: hash, hash_metadata: x-tenant", startService(t, "a"), startService(t, "b"), startService(t, "c")))
	c := startEMQX(t, e.addr("grpc"), "", insecure.NewCredentials()).conn
	eventually(t, func() string {
		for _, ep := range fetch[[]upstreamState](e, "/api/v1/upstreams")[0].Endpoints {
			if !ep.Up {
				return ep.Address + " is not connected"
			}
		}
		return ""
	})
	where := map[string]string{}
	for round := range 3 {
		for i := range 60 {
			ctx, cancel := context.WithTimeout(context.Background(), patience())
			tenant := fmt.Sprint("tenant-", i)
			in, out := []byte("x"), []byte(nil)
			err := c.Invoke(metadata.AppendToOutgoingContext(ctx, "x-tenant", tenant), "/any.Service/Unary", &in, &out)
			cancel()
			must(t, err)
			if round == 0 {
				where[tenant] = string(out)
			} else if where[tenant] != string(out) {
				t.Errorf("%s went to %q, then to %q", tenant, where[tenant], out)
			}
		}
	}
	used := map[string]int{}
	for _, at := range where {
		used[at]++
	}
	if len(used) != 3 {
		t.Errorf("the tenants went to %v", used)
	}
}
