// Package peers runs the proxies that are compared: nginx, HAProxy and mqedge, each from a configuration that asks for the
// same work. For connections every one terminates TLS 1.3 with the same certificate (or none), spreads over the same endpoints with a
// PROXY v1 header (nginx 1.22 can send no other) and writes an access line per connection to a file; for calls it
// spreads plain gRPC over the same hook servers. It knows nothing of what is measured.
package peers
