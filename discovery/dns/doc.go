// Package dns learns endpoints by asking the DNS for the addresses of a name (A and AAAA), or for the servers of a service
// (SRV), again and again.
//
// An answer without addresses, like a failure, changes nothing: the last good one stays in use, and [Source.Status] says so. The
// endpoints are ordered by address, so that all who get the same records have the same set.
package dns
