package balancer

import "errors"

var (
	// ErrNoEndpoint says that the pool is empty, or that each of its endpoints is ejected, draining, full or avoided.
	ErrNoEndpoint = errors.New("no endpoint available")
	// ErrUnknownEndpoint says that the pool has no endpoint with that address.
	ErrUnknownEndpoint = errors.New("unknown endpoint")
)
