package doctor

import "fmt"

// What an idle connection costs, in bytes: mqedge's own part and the kernel's for
// two sockets. See docs/operations.md.
const (
	ownTLS      = 8 << 10
	ownPlain    = 1 << 10
	twoSockets  = 8 << 10
	withoutAny  = 64 << 20 // the process without connections
	leastFactor = 90       // percent of the limit at which mqedge stops accepting
)

// memory holds the limit of the control group, or else what the host has, against
// what the connections take.
func memory(s subject) []Finding {
	each := uint64(ownPlain + twoSockets)
	if s.needs.tls {
		each = ownTLS + twoSockets
	}
	m := s.host.Memory
	limit, of := m.Limit, "the limit of the control group, "+m.LimitFile
	if limit == 0 || m.Total != 0 && m.Total < limit {
		limit, of = m.Total, "what this host has"
	}
	if limit == 0 || s.config == nil {
		return nil
	}
	usable := limit / 100 * leastFactor
	room := (usable - min(usable, withoutAny)) / each
	switch {
	case s.needs.most > 0 && uint64(s.needs.most) > room:
		want := (uint64(s.needs.most)*each+withoutAny)/leastFactor*100>>20 + 1
		f := Finding{
			Severity: Warning,
			What:     fmt.Sprintf("%s of memory are too little for %s connections", mebibytes(limit), grouped(s.needs.most)),
			Why: fmt.Sprintf("It is %s. An idle connection takes about %d KiB, the kernel's part included, and at %d %% mqedge stops accepting: there is room for about %s.",
				of, each>>10, leastFactor, grouped(room)),
		}
		if limit == m.Limit {
			f.Commands = append(dropIn("memory", fmt.Sprintf("MemoryMax=%dM", want)), fmt.Sprintf("docker run --memory %dm …", want))
		} else {
			f.Why += " Use a larger host, several edges, or a lower max_connections."
		}
		return []Finding{f}
	case s.needs.most == 0 && limit == m.Limit:
		return []Finding{{
			Severity: Note, What: fmt.Sprintf("%s of memory are room for about %s connections", mebibytes(limit), grouped(room)),
			Why: fmt.Sprintf("It is %s.", of),
		}}
	}
	return nil
}

// processors looks for a quota that makes everything wait.
func processors(s subject) []Finding {
	p := s.host.Processors
	if p.Quota == 0 || p.Quota >= 1 {
		return nil
	}
	return []Finding{{
		Severity: Warning, What: fmt.Sprintf("mqedge may use %.2g of a processor", p.Quota),
		Why: fmt.Sprintf("When it has used that up in a tenth of a second, all its clients wait for the rest of it (%s). A storm of TLS handshakes needs whole ones.",
			p.File),
		Commands: append(dropIn("processors", "CPUQuota=200%%"), "docker run --cpus 2 …"),
	}}
}
