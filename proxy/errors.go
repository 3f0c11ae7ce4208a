package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/ports"
)

// refusal says why a connection was not served.
type refusal struct {
	reason string // bounded set: it is a metric label
	status int    // of the access log, as nginx numbers them
	err    error  // detail for people; may be nil
	limit  bool   // there are too many connections
}

func (r *refusal) Error() string {
	if r.err == nil {
		return r.reason
	}
	return r.reason + ": " + r.err.Error()
}

func (r *refusal) Unwrap() error { return r.err }

// Reasons for refusing a connection. The reasons for which a served one ends
// are those of package relay, and these two more.
const (
	reasonDenied           = "denied"                 // by allow and deny
	reasonMaxConnections   = "max_connections"        // of the listener
	reasonMaxPerIP         = "max_connections_per_ip" // of the client's address
	reasonMaxHalfOpen      = "max_half_open"          // of the listener
	reasonConnectRate      = "connect_rate"           // the queue was full, or the wait too long
	reasonHandshakeRate    = "handshake_rate"         // the same, of handshakes that resume nothing
	reasonProxyTimeout     = "proxy_header_timeout"   // a trusted peer sent no whole header in time
	reasonProxyInvalid     = "proxy_header_invalid"   // a trusted peer sent something else
	reasonProxyUntrusted   = "proxy_header_untrusted" // a header from a peer that is not trusted
	reasonTLSTimeout       = "tls_timeout"            //
	reasonTLSFailed        = "tls_failed"             //
	reasonConnectTimeout   = "connect_timeout"        // no whole CONNECT packet in time
	reasonConnectTooLarge  = "connect_too_large"      //
	reasonMalformedConnect = "malformed_connect"      //
	reasonNotMQTT          = "not_mqtt"               //
	reasonNotWebSocket     = "not_websocket"          // no upgrade that an MQTT client may ask for, or frames against its rules
	reasonClientGone       = "client_gone"            // it closed before it could be served
	reasonNoEndpoint       = "no_endpoint"            // none available
	reasonConnectFailed    = "upstream_failed"        // none of those tried took the connection
	reasonDeclined         = "upstream_declined"      // all of those tried answered CONNECT with a refusal of their own
	reasonLocalLimit       = "local_limit"            // this process or host is out of files or source ports, or has no address to come from

	reasonKeepAlive = "keepalive_timeout" // MQTT: nothing within 1.5 times the keep alive
	reasonKicked    = "kicked"            // by hand

	// ReasonShutdown is the reason for connections closed because the process ends.
	ReasonShutdown = "shutdown"
	reasonMoved    = "endpoint_drained" // its endpoint is drained
	reasonSpread   = "rebalanced"       // its endpoint had more than its share
)

// ForOperators reports whether refusals for a reason point to something that an operator may have to mend, rather
// than to a client.
func ForOperators(reason string) bool {
	switch reason {
	case reasonProxyTimeout, reasonProxyInvalid, reasonProxyUntrusted,
		reasonMaxConnections, reasonNoEndpoint, reasonConnectFailed, reasonDeclined, reasonLocalLimit:
		return true
	}
	return false
}

// isLocal reports whether a dial failed for want of something on this host, or
// was given up, so that the endpoint is not to blame.
func isLocal(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOSPC, syscall.ENOBUFS, syscall.ENOMEM,
		ports.ErrNone, ports.ErrFamily, context.Canceled, net.ErrClosed,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isExhausted reports whether no endpoint could do better than the one that
// failed, since the process can open no more files.
func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// unreachable is the refusal after the last endpoint tried failed with err.
func unreachable(err error) *refusal {
	var d *declined
	switch {
	case isLocal(err):
		return &refusal{reason: reasonLocalLimit, status: 500, err: err}
	case errors.As(err, &d):
		return &refusal{reason: reasonDeclined, status: 502, err: err}
	}
	return &refusal{reason: reasonConnectFailed, status: 502, err: err}
}

// explainHandshake adds to an error of crypto/tls what it means, where that is
// not what it says.
func explainHandshake(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "bad record MAC"):
		return fmt.Errorf("%w (so it looks when a client, OpenSSL's among them, does not trust the certificate)", err)
	case strings.Contains(text, "unsupported versions"):
		named := strings.NewReplacer("300", "SSL 3.0", "301", "TLS 1.0", "302", "TLS 1.1", "303", "TLS 1.2", "304", "TLS 1.3").Replace(text)
		return fmt.Errorf("%s: see tls.min_version", named)
	}
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// isGone reports whether the peer closed or reset its connection.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// connackFor is the reason code of a CONNACK that refuses a client for reason;
// ok is false where its packet was not a CONNECT to be answered.
func connackFor(reason string) (code byte, ok bool) {
	switch reason {
	case reasonMaxConnections, reasonMaxPerIP:
		return mqtt.QuotaExceeded, true
	case reasonConnectRate:
		return mqtt.ConnectionRateExceeded, true
	case reasonNoEndpoint, reasonConnectFailed, reasonLocalLimit:
		return mqtt.ServerUnavailable, true
	case ReasonShutdown:
		return mqtt.ServerBusy, true
	}
	return 0, false
}
