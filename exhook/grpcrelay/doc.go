// Package grpcrelay forwards gRPC calls between connections of clients and
// connections to providers, each call to a provider of its own, as HTTP/2 frames:
// messages are neither decoded nor compressed nor copied more than they must be.
//
// It is a state machine without input and output. A [Group] has connections: a
// [Client] is one that was accepted, where we are the HTTP/2 server; a [Provider]
// is one that was dialled, where we are the client. A driver gives it the bytes
// that come (Receive), the ends of connections (Ended), room in full sockets
// (Resume) and time ([Group.Tick]), and after each turn has it send what came of
// it ([Group.Flush]), by one Write for a connection. All of that happens in one
// goroutine, or under one lock. [Driver] is the portable one; an event loop does
// the same at less cost.
//
// What a call means is the business of a [Handler]. It hears of each [Call] and
// forwards it to a provider, perhaps to another when that fails, or to two at a
// time; or answers it by itself. There are two kinds of calls. Of those that
// Options.Whole names, request and answer are gathered: the handler can look into
// them, and the client gets either a complete good answer or a status, in a
// single HEADERS frame, before its own deadline. All others pass through as they
// come, in all four kinds that gRPC has, with the flow control of one side applied
// to the other.
//
// EMQX's client waits out its whole timeout, or loses other calls, when it meets
// RST_STREAM, GOAWAY or a close with a call under way, an answer without a
// message, or a body that is not gRPC. So none of that is sent for what a provider
// does: every failure is a status. RST_STREAM goes only to a client that broke
// the protocol itself, or that goes on sending ten seconds after its answer was
// complete.
//
// Where to read on: conn.go, receive.go and control.go have what both roles of a
// connection share; client.go and provider.go are the roles. request.go is the way
// of a request from the client, forward.go of an attempt to a provider, answer.go
// of its answer, call.go of what the client gets. frames.go, headers.go, decode.go
// and encode.go are the wire.
//
// Specifications: RFC 9113 (HTTP/2), RFC 7541 (HPACK), gRPC over HTTP2
// (PROTOCOL-HTTP2.md and http-grpc-status-mapping.md of grpc/grpc).
//
// The package knows nothing of ExHook, of balancing, of sockets or of TLS.
package grpcrelay
