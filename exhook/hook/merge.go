package hook

import (
	"fmt"
	"slices"
)

// Answer is what one provider said to OnProviderLoaded.
type Answer struct {
	Provider string // as a Note names it
	Specs    []Spec
}

// Note is something in an answer that does not do what the provider means by it.
type Note struct {
	Provider, Hook, Text string
}

// Merge makes one answer of several: every hook that some provider registers, with the topic filters of all. No filters are every topic, so they win.
// What EMQX would take otherwise from a single provider is taken so: the first of two specs of a hook counts, and topics of other than message hooks
// do not. An unknown name is left out, because EMQX refuses an answer that has one as a whole, and then runs without any hook.
//
// The result depends on neither the order of the answers nor that of their specs: hooks are in the order of the constants, filters are sorted.
// Notes are in the order of the answers. The specs share no memory with the answers.
func Merge(v Version, answers []Answer) ([]Spec, []Note) {
	var all [hookCount]wanted
	var notes []Note
	for _, a := range answers {
		one, remarks := read(v, a)
		notes = append(notes, remarks...)
		for h := range one {
			all[h].join(one[h])
		}
	}
	var specs []Spec
	for h := range all {
		if all[h].is {
			specs = append(specs, Spec{Hook(h).Name(v), all[h].list()})
		}
	}
	return specs, notes
}

// wanted is whether a hook is, and for what.
type wanted struct {
	is, every bool
	topics    []string
}

// read takes one answer as EMQX does, except that it leaves unknown names out.
func read(v Version, a Answer) (hooks [hookCount]wanted, notes []Note) {
	note := func(name, text string) { notes = append(notes, Note{a.Provider, name, text}) }
	for _, s := range a.Specs {
		h, ok := Named(v, s.Name)
		switch {
		case !ok:
			note(s.Name, unknownName(v, s.Name)+"; left out, or EMQX would refuse all hooks")
		case hooks[h].is:
			note(s.Name, "registered twice: the first counts")
		case h.Topics():
			hooks[h] = wanted{is: true, every: len(s.Topics) == 0, topics: s.Topics}
		default:
			hooks[h] = wanted{is: true, every: true}
			if len(s.Topics) > 0 {
				note(s.Name, "topics are for message hooks only: ignored")
			}
		}
	}
	return hooks, notes
}

func (w *wanted) join(other wanted) {
	w.is = w.is || other.is
	w.every = w.every || other.every
	w.topics = append(w.topics, other.topics...) // w's own: it starts as nil
}

func (w *wanted) list() []string {
	if w.every {
		return nil
	}
	slices.Sort(w.topics)
	return slices.Compact(w.topics)
}

// unknownName says what is wrong with a name that the version has not.
func unknownName(v Version, name string) string {
	text := fmt.Sprintf("%s has no such hook", v)
	for other := V1; other <= V3; other++ {
		if h, ok := Named(other, name); ok {
			return fmt.Sprintf("%s: it is %q there", text, h.Name(v))
		}
	}
	if like := suggest(name, []Version{v}); like != "" {
		return fmt.Sprintf("%s: did you mean %q?", text, like)
	}
	return text
}
