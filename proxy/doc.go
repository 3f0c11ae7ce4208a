// Package proxy serves client streams: one connection to one endpoint.
//
// A [Socket] accepts and hands each connection to the [Listener] it is assigned
// to. There blocking code takes it through its stages, which are all in conn.go:
// who is it, TLS, learn (the MQTT CONNECT), reach (pick, dial, PROXY header and
// CONNECT in one write); then the pair is left to the relay, and when it ends the
// outcome is recorded. Before TLS, and in it, a connection may have to wait for
// its turn (pace.go).
//
// What a client or an endpoint does wrong is an ordinary outcome with a reason
// that is counted and stands in the access log; it is not an error log.
//
// The package knows nothing of configuration files, of how endpoints are learnt
// or judged, or of certificates beyond the *tls.Config it is given.
package proxy
