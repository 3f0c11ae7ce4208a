package doctor

import (
	"cmp"
	"slices"
)

// Severity says how bad a finding is.
type Severity string

const (
	Error   Severity = "error"   // mqedge will not start, or not serve
	Warning Severity = "warning" // it serves, until there are many clients or bad luck
	Note    Severity = "note"    // good to know; nothing is wrong
)

// Finding is one thing about the host.
type Finding struct {
	Severity Severity  `json:"severity"`
	Check    string    `json:"check"`    // the name of the check that found it
	What     string    `json:"what"`     // one line
	Why      string    `json:"why"`      // why it matters, and what to choose from
	Details  []string  `json:"details"`  // what it is about, one by one
	Commands []string  `json:"commands"` // what mends it, for a shell
	Sysctls  []Setting `json:"sysctls"`  // kernel settings that mend it
}

// Setting is a kernel setting and the value that it should have.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Report is what came of all checks.
type Report struct {
	Findings []Finding `json:"findings"` // the worst first
	Checked  []string  `json:"checked"`  // the names of the checks
}

// Clean reports whether there is nothing to mend.
func (r Report) Clean() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Note })
}

func (r Report) count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

func (r Report) sort() {
	rank := func(s Severity) int { return slices.Index([]Severity{Error, Warning, Note}, s) }
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
}
