package exhook

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/exhook/hook"
)

// memory is what providers answered to OnProviderLoaded in one version, and what EMQX was answered.
type memory struct {
	is       bool        // a provider did once, perhaps before a restart
	merged   []hook.Spec // of all providers, when last each answered
	complete bool        // each did in this process
	unserved bool        // and each said that it does not know the version
	known    []hook.Spec // what EMQX was answered latest, also before a restart
	told     bool
	recalled bool           // it comes from the state file
	presumed *hook.Interest // of a provider that has not answered yet
	drift    string         // as it was last reported
}

// relearn draws together what the providers want. As long as one has not said, what is remembered stays part of it.
func (u *Upstream) relearn() {
	changed := false
	for v := hook.V1; v <= hook.V3; v++ {
		m := &u.memories[v]
		var answers []hook.Answer
		served := false
		complete := len(u.links) > 0
		for _, l := range u.links {
			complete = complete && l.interests[v] != nil
			if l.serves[v] {
				served = true
				answers = append(answers, hook.Answer{Provider: l.addr, Specs: l.specs[v]})
			}
		}
		m.complete, m.unserved = complete, complete && !served
		if !served {
			continue
		}
		if !complete && m.is {
			answers = append(answers, hook.Answer{Specs: m.merged})
		}
		merged, _ := hook.Merge(v, answers)
		if !m.is || !slices.EqualFunc(merged, m.merged, sameSpec) {
			m.is, m.merged, changed = true, merged, true
		}
	}
	if changed {
		u.presume()
		u.unsaved = true
	}
	u.reportDrift()
}

// presume makes ready what a provider is taken to want that has not said so in this process: what all together wanted before, if
// that is remembered, or else everything. To take it for nothing would be to let EMQX go on without the provider's opinion.
func (u *Upstream) presume() {
	for v := hook.V1; v <= hook.V3; v++ {
		specs := everything(v)
		if u.memories[v].recalled {
			specs, _ = u.answer(v)
		}
		u.memories[v].presumed = hook.NewInterest(v, specs)
	}
}

func everything(v hook.Version) []hook.Spec {
	var specs []hook.Spec
	for h := hook.ClientConnect; h <= hook.MessageDropped; h++ {
		specs = append(specs, hook.Spec{Name: h.Name(v)})
	}
	return specs
}

// answer is what EMQX of a version is to be answered to OnProviderLoaded now; false: nothing is known.
func (u *Upstream) answer(v hook.Version) ([]hook.Spec, bool) {
	m := &u.memories[u.rules.as(hook.Method{Version: v, Hook: hook.ProviderLoaded})]
	configured := hook.Configured(v, u.rules.specs)
	specs, _ := hook.Merge(v, []hook.Answer{{Specs: m.merged}, {Specs: configured}})
	return specs, m.is || len(configured) > 0
}

// told notes what EMQX was answered.
func (u *Upstream) told(n *node, specs []hook.Spec) {
	n.told, n.known = true, specs
	m := &u.memories[n.version]
	if !m.told || !slices.EqualFunc(m.known, specs, sameSpec) {
		m.told, m.known = true, specs
	}
	u.unsaved = true
	u.reportDrift()
	u.stir()
}

// driftOf is how what a node was told differs from what is true.
func (u *Upstream) driftOf(n *node) hook.Drift {
	known, told := n.known, n.told
	if !told {
		known, told = u.memories[n.version].known, u.memories[n.version].told
	}
	m := &u.memories[u.rules.as(hook.Method{Version: n.version, Hook: hook.ProviderLoaded})]
	if !told || !m.is {
		return hook.Drift{}
	}
	d := hook.Compare(known, m.merged)
	if !m.complete {
		d.Unserved = nil // perhaps by the one that has not answered
	}
	return d
}

// reportDrift logs and counts hooks that providers want and EMQX does not know of, when they change.
func (u *Upstream) reportDrift() {
	total := 0
	var texts [hook.V3 + 1]string
	for _, n := range u.nodes.all {
		d := u.driftOf(n)
		total += len(d.Unknown)
		if text := names(d.Unknown); text != "" && !strings.Contains(texts[n.version], text) {
			texts[n.version] += text + " at " + n.broker.Node + "; "
		}
	}
	for v := range texts {
		m := &u.memories[v]
		if texts[v] != m.drift && texts[v] != "" {
			u.stats.drifts.Add(1)
			u.tell(slog.LevelWarn, "providers registered hooks that EMQX does not know of: disable and enable the exhook there", "hooks", strings.TrimSuffix(texts[v], "; "))
		}
		m.drift = texts[v]
	}
	u.stats.drift.Store(int64(total))
}

func names(specs []hook.Spec) string {
	var all []string
	for _, s := range specs {
		text := s.Name
		if len(s.Topics) > 0 {
			text = fmt.Sprintf("%s of %d topic filters", s.Name, len(s.Topics))
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// remember has the state file written anew.
func (u *Upstream) remember() {
	if !u.unsaved || u.rules.stateFile == "" {
		return
	}
	u.unsaved = false
	u.saving.Store(&saving{file: u.rules.stateFile, state: u.state()})
	select {
	case u.save <- struct{}{}:
	default:
	}
}

func (u *Upstream) state() hook.State {
	s := hook.State{Versions: make(map[hook.Version]hook.Answers)}
	for v := hook.V1; v <= hook.V3; v++ {
		if m := &u.memories[v]; m.is || m.told {
			s.Versions[v] = hook.Answers{Merged: m.merged, Known: m.known}
		}
	}
	for _, n := range u.nodes.all {
		if n.left.IsZero() {
			s.Nodes.Loaded(n.version, n.request)
		}
	}
	return s
}

// State is what the state file holds, or would: for the process that takes the place of this one. It is nil for an upstream
// that does not know hooks, or when ctx ends first.
func (u *Upstream) State(ctx context.Context) []byte {
	if !u.aware {
		return nil
	}
	said := make(chan []byte, 1)
	if !u.do(func() {
		data, _ := u.state().Encode() // of what was read from JSON, or could have been
		said <- data
	}) {
		return nil
	}
	select {
	case data := <-said:
		return data
	case <-ctx.Done():
		return nil
	}
}

// recall takes what a state file has, as far as nothing newer is known.
func (u *Upstream) recall(s hook.State) {
	for v, a := range s.Versions {
		if v < hook.V1 || v > hook.V3 {
			continue
		}
		m := &u.memories[v]
		if !m.is && len(a.Merged) > 0 {
			m.is, m.recalled, m.merged = true, true, a.Merged
		}
		if !m.told && len(a.Known) > 0 {
			m.told, m.known = true, a.Known
		}
	}
	for _, n := range s.Nodes.All() {
		if u.nodes.named[n.Version][n.Broker.Node] == nil && len(u.nodes.all) < mostNodes {
			u.loadEverywhere(u.addNode(n.Version, n.Broker, n.Request))
		}
	}
	u.presume()
	u.relearn()
	u.stir()
}
