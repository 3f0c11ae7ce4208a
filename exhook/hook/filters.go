package hook

import (
	"bytes"
	"slices"
	"strings"
)

// Filters are MQTT topic filters made ready to match topic names as EMQX's emqx_topic:match does. They do not change after Compile, so any number of
// goroutines may match at once. The zero value, like no filters, matches every name.
//
// "+" is any one level, "#" at the end the rest and the level above it, and neither matches the first level of a name that begins with "$". A "#"
// elsewhere, or either inside a level, stands for itself. "$share/…" is no special thing: names do not begin so. Nor do they have a level "#": a client
// that publishes to one is cut off, and what would match it is not worth code.
type Filters struct {
	levels []level // a tree; the first is the root; empty without filters
}

// level is what may follow on a path of levels. Numbers are places in Filters.levels, 0 for none.
type level struct {
	words []word // sorted
	plus  int32
	hash  bool // "#" follows: the rest of any name matches, also none
	end   bool // a filter ends here
}

type word struct {
	text []byte
	next int32
}

// Compile makes a list of filters ready. Invalid ones are taken as EMQX takes them.
func Compile(filters []string) *Filters {
	if len(filters) == 0 {
		return &Filters{}
	}
	f := &Filters{levels: make([]level, 1)}
	for _, filter := range filters {
		f.add([]byte(filter))
	}
	return f
}

// Match reports whether one of the filters matches a topic name. It visits no level of the filters twice, and does not allocate.
func (f *Filters) Match(name []byte) bool {
	if len(f.levels) == 0 {
		return true
	}
	return f.match(0, name, len(name) > 0 && name[0] == '$')
}

// match matches the rest of a name; system is set for the first level of a name that wildcards may not match there.
func (f *Filters) match(at int32, rest []byte, system bool) bool {
	l := &f.levels[at]
	if l.hash && !system {
		return true
	}
	text, rest, more := bytes.Cut(rest, slash)
	if i, ok := l.find(text); ok && f.after(l.words[i].next, rest, more) {
		return true
	}
	return l.plus != 0 && !system && f.after(l.plus, rest, more)
}

func (f *Filters) after(at int32, rest []byte, more bool) bool {
	if more {
		return f.match(at, rest, false)
	}
	return f.levels[at].end || f.levels[at].hash
}

// slash is never written to.
var slash = []byte("/")

func (l *level) find(text []byte) (int, bool) {
	return slices.BinarySearchFunc(l.words, text, func(w word, text []byte) int { return bytes.Compare(w.text, text) })
}

func (f *Filters) add(filter []byte) {
	at := int32(0)
	for more := true; more; {
		var text []byte
		text, filter, more = bytes.Cut(filter, slash)
		if string(text) == "#" && !more {
			f.levels[at].hash = true
			return
		}
		at = f.step(at, text)
	}
	f.levels[at].end = true
}

// step returns the level that follows on a word, which it makes if need be.
func (f *Filters) step(at int32, text []byte) int32 {
	l, fresh := &f.levels[at], int32(len(f.levels))
	if string(text) == "+" {
		if l.plus != 0 {
			return l.plus
		}
		l.plus = fresh
	} else {
		i, ok := l.find(text)
		if ok {
			return l.words[i].next
		}
		l.words = slices.Insert(l.words, i, word{text, fresh})
	}
	f.levels = append(f.levels, level{})
	return fresh
}

// covers reports whether every name that filter b matches is matched by filter a.
func covers(a, b string) bool {
	if strings.HasPrefix(b, "$") && (strings.HasPrefix(a, "+") || strings.HasPrefix(a, "#")) {
		return false
	}
	restA, restB := []byte(a), []byte(b)
	for moreA, moreB := true, true; ; {
		var textA, textB []byte
		switch {
		case string(restA) == "#" && moreA:
			return true
		case !moreA || !moreB:
			return moreA == moreB
		}
		textA, restA, moreA = bytes.Cut(restA, slash)
		lastB := string(restB) == "#"
		textB, restB, moreB = bytes.Cut(restB, slash)
		if lastB || string(textA) != "+" && !bytes.Equal(textA, textB) {
			return false
		}
	}
}
