package grpcrelay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// chain is grpc-go's client, the relay under its portable driver, and grpc-go's server.
type chain struct {
	client  testpb.TestServiceClient
	conn    *grpc.ClientConn
	service *service
	server  *grpc.Server
	driver  *Driver
	p       *Provider
}

func newChain(t *testing.T, o Options) *chain {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ch := &chain{service: &service{hung: make(chan struct{}, 10), cancelled: make(chan error, 10)}, server: grpc.NewServer()}
	testpb.RegisterTestServiceServer(ch.server, ch.service)
	behind, front := listen(), listen()
	var running sync.WaitGroup
	running.Go(func() { ch.server.Serve(behind) })
	o.Handler = &handler{call: func(c *Call) {
		if err := c.Forward(ch.p, ForwardOptions{}); err != nil {
			c.Fail(codes.Unavailable, err.Error())
		}
	}}
	ch.driver = NewDriver(o)
	ctx, stop := context.WithCancel(context.Background())
	running.Go(func() { ch.driver.Run(ctx) })
	nc, err := net.Dial("tcp", behind.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{}, 1)
	running.Go(func() {
		ch.driver.ServeProvider(nc, ProviderOptions{Changed: func(p *Provider) {
			if p.Ready() {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		}}, func(p *Provider) { ch.p = p })
	})
	<-ready
	running.Go(func() {
		for {
			nc, err := front.Accept()
			if err != nil {
				return
			}
			running.Go(func() { ch.driver.ServeClient(nc, nil) })
		}
	})
	ch.conn, err = grpc.NewClient(front.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ch.client = testpb.NewTestServiceClient(ch.conn)
	t.Cleanup(func() {
		ch.conn.Close()
		front.Close()
		ch.driver.Do(func(*Group) { ch.p.Close() })
		ch.server.Stop()
		stop()
		running.Wait()
	})
	return ch
}

// bothWays runs a test with unary calls gathered whole and with all passing through.
func bothWays(t *testing.T, test func(t *testing.T, ch *chain)) {
	unary := func(path string) bool {
		return strings.HasSuffix(path, "/UnaryCall") || strings.HasSuffix(path, "/EmptyCall")
	}
	t.Run("whole", func(t *testing.T) { test(t, newChain(t, Options{Whole: unary})) })
	t.Run("passing", func(t *testing.T) { test(t, newChain(t, Options{})) })
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestUnaryCallsOfAllSizesPass(t *testing.T) {
	bothWays(t, func(t *testing.T, ch *chain) {
		ctx := within(t)
		if _, err := ch.client.EmptyCall(ctx, &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
		for _, gzip := range []bool{false, true} {
			var opts []grpc.CallOption
			if gzip {
				opts = append(opts, grpc.UseCompressor("gzip"))
			}
			for _, n := range []int{0, 1, 16375, 16380, 271828, 3 << 20} {
				out, err := ch.client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(n), ResponseSize: int32(n)}, opts...)
				if err != nil || !bytes.Equal(out.GetPayload().GetBody(), payload(n).Body) {
					t.Fatalf("%d bytes, gzip %v: %v", n, gzip, err)
				}
			}
		}
	})
}

func TestAllKindsOfStreamsPass(t *testing.T) {
	ch := newChain(t, Options{})
	ctx := within(t)
	sizes := []int{31415, 9, 2653, 589790, 0}

	up, err := ch.client.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range sizes {
		up.Send(&testpb.StreamingInputCallRequest{Payload: payload(n)})
		sum += n
	}
	if out, err := up.CloseAndRecv(); err != nil || int(out.AggregatedPayloadSize) != sum {
		t.Fatal(out, err)
	}

	var params []*testpb.ResponseParameters
	for _, n := range sizes {
		params = append(params, &testpb.ResponseParameters{Size: int32(n)})
	}
	down, err := ch.client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: params}, grpc.UseCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		if out, err := down.Recv(); err != nil || !bytes.Equal(out.GetPayload().GetBody(), payload(n).Body) {
			t.Fatal(n, err)
		}
	}
	if _, err := down.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}

	both, err := ch.client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		both.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: params[i : i+1], Payload: payload(n)})
		if out, err := both.Recv(); err != nil || len(out.GetPayload().GetBody()) != n {
			t.Fatal(n, err)
		}
	}
	both.CloseSend()
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}

	empty, err := ch.client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	empty.CloseSend()
	if _, err := empty.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestMetadataAndStatusPass(t *testing.T) {
	bothWays(t, func(t *testing.T, ch *chain) {
		binary := string([]byte{0xab, 0xcd, 0, 0xff})
		ctx := metadata.AppendToOutgoingContext(within(t), echoHeader, "value", echoTrailer, binary)
		check := func(header, trailer metadata.MD) {
			t.Helper()
			if v := header.Get(echoHeader); len(v) != 1 || v[0] != "value" {
				t.Errorf("header is %v", header)
			}
			if v := trailer.Get(echoTrailer); len(v) != 1 || v[0] != binary {
				t.Errorf("trailer is %v", trailer)
			}
		}
		var header, trailer metadata.MD
		for range 3 {
			if _, err := ch.client.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
				t.Fatal(err)
			}
			check(header, trailer)
		}
		stream, err := ch.client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if header, err = stream.Header(); err != nil { // before any message
			t.Fatal(err)
		}
		stream.CloseSend()
		stream.Recv()
		check(header, stream.Trailer())

		const text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
		st := &testpb.EchoStatus{Code: int32(codes.FailedPrecondition), Message: text}
		_, unary := ch.client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: st}, grpc.Trailer(&trailer))
		if v := trailer.Get(echoTrailer); len(v) != 1 || v[0] != binary {
			t.Errorf("the trailer of a failure is %v", trailer)
		}
		stream, _ = ch.client.FullDuplexCall(ctx)
		stream.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: st})
		_, streamed := stream.Recv()
		for _, err := range []error{unary, streamed} {
			s := grpcstatus.Convert(err)
			if s.Code() != codes.FailedPrecondition || s.Message() != text || len(s.Details()) != 1 || s.Details()[0].(*testpb.EchoStatus).Message != "WHY" {
				t.Errorf("status is %v, %v", s, s.Details())
			}
		}
		if err := ch.conn.Invoke(ctx, "/grpc.testing.TestService/Missing", &testpb.Empty{}, &testpb.Empty{}); grpcstatus.Code(err) != codes.Unimplemented {
			t.Error(err)
		}
		if err := ch.conn.Invoke(ctx, "/grpc.testing.Missing/UnaryCall", &testpb.Empty{}, &testpb.Empty{}); grpcstatus.Code(err) != codes.Unimplemented {
			t.Error(err)
		}
	})
}

func TestDeadlinesAndCancellationReachTheProvider(t *testing.T) {
	bothWays(t, func(t *testing.T, ch *chain) {
		hang := &testpb.Payload{Body: []byte("hang")}
		cancelled := func(what string) {
			t.Helper()
			select {
			case <-ch.service.cancelled:
			case <-time.After(20 * time.Second):
				t.Fatal("the provider did not hear of it: " + what)
			}
		}
		if _, err := ch.client.EmptyCall(within(t), &testpb.Empty{}); err != nil { // connected
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(within(t), time.Second)
		defer cancel()
		if _, err := ch.client.UnaryCall(short, &testpb.SimpleRequest{Payload: hang}); grpcstatus.Code(err) != codes.DeadlineExceeded {
			t.Fatal(err)
		}
		<-ch.service.hung
		cancelled("deadline")
		ctx, cancel := context.WithCancel(within(t))
		go func() { <-ch.service.hung; cancel() }()
		if _, err := ch.client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: hang}); grpcstatus.Code(err) != codes.Canceled {
			t.Fatal(err)
		}
		cancelled("unary")
		ctx, cancel = context.WithCancel(within(t))
		stream, err := ch.client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stream.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 10}}})
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		stream.Send(&testpb.StreamingOutputCallRequest{Payload: hang})
		<-ch.service.hung
		cancel()
		if _, err := stream.Recv(); grpcstatus.Code(err) != codes.Canceled {
			t.Fatal(err)
		}
		cancelled("stream")
	})
}

func TestAProviderThatDiesIsACleanStatus(t *testing.T) {
	bothWays(t, func(t *testing.T, ch *chain) {
		go func() { <-ch.service.hung; ch.server.Stop() }()
		_, err := ch.client.UnaryCall(within(t), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("hang")}})
		if grpcstatus.Code(err) != codes.Unavailable && grpcstatus.Code(err) != codes.Canceled { // by what the server managed to say
			t.Fatal(err)
		}
		if _, err := ch.client.UnaryCall(within(t), &testpb.SimpleRequest{}); grpcstatus.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, ch *chain) {
		ctx := within(t)
		var all sync.WaitGroup
		errs := make(chan error, 16)
		for i := range 16 {
			all.Go(func() {
				for j := range 30 {
					n := (i*31 + j*977) % 40000
					out, err := ch.client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(n), ResponseSize: int32(n)})
					if err == nil && !bytes.Equal(out.GetPayload().GetBody(), payload(n).Body) {
						err = fmt.Errorf("%d bytes are not the same", n)
					}
					if err != nil {
						errs <- err
						return
					}
				}
			})
		}
		all.Wait()
		select {
		case err := <-errs:
			t.Fatal(err)
		default:
		}
	})
}
