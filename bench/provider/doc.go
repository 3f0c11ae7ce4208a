// Package provider is the upstream of the benchmark's calls: hook servers that answer OnProviderLoaded and
// OnClientAuthenticate in the cheapest way. Calls that come together are answered together, in one write. It knows nothing of the proxies before it.
package provider
