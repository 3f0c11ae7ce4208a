// Package h2 is as much of HTTP/2 (RFC 9113) as a benchmark of gRPC calls needs: frames appended to a buffer and cut out of a
// stream, and header blocks decoded once for as long as they repeat. It knows nothing of streams, of flow control, or of
// which side it is on. A header block must fit into one frame: CONTINUATION is refused.
package h2
