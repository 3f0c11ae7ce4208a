package hook

// Drift is how what EMQX was told differs from what is true now.
type Drift struct {
	// Unknown is what providers register and EMQX was not told: they do not get these calls until EMQX loads the hooks again, which it does when
	// the exhook is disabled and enabled there.
	Unknown []Spec
	// Unserved is what EMQX calls and no provider registers: these calls get the neutral answer.
	Unserved []Spec
}

// Compare compares two results of Merge, of the same version: what EMQX was answered, and what the answer would be now. A filter counts as known when
// one of the other side matches at least the same names. Nothing to
// report is the zero Drift.
func Compare(known, registered []Spec) Drift {
	return Drift{Unknown: beyond(registered, known), Unserved: beyond(known, registered)}
}

// beyond returns what a asks for and b does not.
func beyond(a, b []Spec) []Spec {
	var more []Spec
	for _, s := range a {
		other, ok := find(b, s.Name)
		switch {
		case !ok:
			more = append(more, s)
		case len(other.Topics) == 0:
		case len(s.Topics) == 0:
			more = append(more, s)
		default:
			if topics := uncovered(s.Topics, other.Topics); topics != nil {
				more = append(more, Spec{s.Name, topics})
			}
		}
	}
	return more
}

func find(specs []Spec, name string) (Spec, bool) {
	for _, s := range specs {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

func uncovered(topics, by []string) []string {
	var more []string
next:
	for _, t := range topics {
		for _, b := range by {
			if covers(b, t) {
				continue next
			}
		}
		more = append(more, t)
	}
	return more
}
