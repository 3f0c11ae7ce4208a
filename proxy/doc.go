// Package proxy serves client streams: one connection to one endpoint.
//
// A [Socket] accepts and hands each connection to the [Listener] it is assigned
// to. There blocking code takes it through its stages, all of them in conn.go: who is it, may it come in now (pace.go), TLS, learn (the MQTT CONNECT), reach (pick, dial, PROXY
// header and CONNECT in one write); then the pair is left to the relay, and when
// it ends the outcome is recorded.
//
// What a client or an endpoint does wrong is an ordinary outcome with a reason
// that is counted and stands in the access log; it is not an error log.
//
// The package knows nothing of configuration files, of how endpoints are learnt
// or judged, or of certificates beyond the *tls.Config it is given.
package proxy
