package grpcrelay

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// service is the test service of gRPC's interop suite, as its description says:
// doc/interop-test-descriptions.md of grpc/grpc. A message "hang" is never answered.
type service struct {
	testpb.UnimplementedTestServiceServer
	hung      chan struct{} // a call hangs
	cancelled chan error    // it was cancelled
}

const (
	echoHeader  = "x-grpc-test-echo-initial"
	echoTrailer = "x-grpc-test-echo-trailing-bin"
)

func echo(ctx context.Context) (header, trailer metadata.MD) {
	in, _ := metadata.FromIncomingContext(ctx)
	header, trailer = metadata.MD{}, metadata.MD{}
	if v := in.Get(echoHeader); len(v) > 0 {
		header.Set(echoHeader, v...)
	}
	if v := in.Get(echoTrailer); len(v) > 0 {
		trailer.Set(echoTrailer, v...)
	}
	return header, trailer
}

func failure(st *testpb.EchoStatus) error {
	if st.GetCode() == 0 {
		return nil
	}
	s, err := grpcstatus.New(codes.Code(st.Code), st.Message).WithDetails(&testpb.EchoStatus{Message: "WHY"})
	if err != nil {
		return err
	}
	return s.Err()
}

func (s *service) hang(ctx context.Context) error {
	s.hung <- struct{}{}
	<-ctx.Done()
	s.cancelled <- ctx.Err()
	return ctx.Err()
}

func (s *service) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func (s *service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if string(in.GetPayload().GetBody()) == "hang" {
		return nil, s.hang(ctx)
	}
	header, trailer := echo(ctx)
	grpc.SendHeader(ctx, header)
	grpc.SetTrailer(ctx, trailer)
	if err := failure(in.GetResponseStatus()); err != nil {
		return nil, err
	}
	return &testpb.SimpleResponse{Payload: payload(int(in.GetResponseSize()))}, nil
}

func (s *service) StreamingInputCall(stream testpb.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(in.GetPayload().GetBody())
	}
}

func (s *service) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, stream testpb.TestService_StreamingOutputCallServer) error {
	return outputs(in, stream)
}

type output interface {
	Send(*testpb.StreamingOutputCallResponse) error
}

func outputs(in *testpb.StreamingOutputCallRequest, stream output) error {
	for _, p := range in.GetResponseParameters() {
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
			return err
		}
	}
	return failure(in.GetResponseStatus())
}

func (s *service) FullDuplexCall(stream testpb.TestService_FullDuplexCallServer) error {
	header, trailer := echo(stream.Context())
	stream.SendHeader(header)
	stream.SetTrailer(trailer)
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if string(in.GetPayload().GetBody()) == "hang" {
			return s.hang(stream.Context())
		}
		if err := outputs(in, stream); err != nil {
			return err
		}
	}
}

// payload is n bytes that compress, but not to nothing.
func payload(n int) *testpb.Payload {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return &testpb.Payload{Body: b}
}
