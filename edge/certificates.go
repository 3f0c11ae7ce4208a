package edge

import (
	"maps"
	"slices"

	"github.com/mqedge/mqedge/certs"
)

// storeStatus is the state of one store of certificates.
type storeStatus struct {
	kind, name string // "listener" or "upstream", and which
	status     certs.Status
}

// certificates returns the state of all TLS material in force.
func (e *Edge) certificates() []storeStatus {
	g := e.current.Load()
	var out []storeStatus
	for _, name := range slices.Sorted(maps.Keys(g.listeners)) {
		if s := g.listeners[name].certs; s != nil {
			out = append(out, storeStatus{"listener", name, s.Status()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.upstreams)) {
		if s := g.upstreams[name].certs; s != nil {
			out = append(out, storeStatus{"upstream", name, s.Status()})
		}
	}
	return out
}

// certificateName tells certificates apart: the file, or the owner's name for
// one that is only in memory.
func certificateName(owner string, c certs.CertificateStatus) string {
	if c.CertFile != "" {
		return c.CertFile
	}
	return owner
}
