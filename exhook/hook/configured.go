package hook

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Problem is a mistake in a list of specs that a person wrote.
type Problem struct {
	Spec  int // its place in the list
	Topic int // the place of the topic filter in the spec; -1: the mistake is in the name, or in the topics together
	Text  string
}

// CheckSpecs checks specs from a configuration, which may name a hook as any version does; Configured translates.
func CheckSpecs(specs []Spec) []Problem {
	var problems []Problem
	var seen [hookCount]bool
	for i, s := range specs {
		add := func(topic int, text string) { problems = append(problems, Problem{i, topic, text}) }
		h, ok := namedAnywhere(s.Name)
		if !ok {
			add(-1, unknownAnywhere(s.Name))
			continue
		}
		if seen[h] {
			add(-1, fmt.Sprintf("%s is in the list twice: put all its topics into one entry", s.Name))
		}
		seen[h] = true
		if len(s.Topics) > 0 && !h.Topics() {
			add(-1, fmt.Sprintf("topics are for the message hooks only: remove those of %s", s.Name))
			continue
		}
		for j, topic := range s.Topics {
			if text := filterMistake(topic); text != "" {
				add(j, text)
			}
		}
	}
	return problems
}

// Configured returns the specs that CheckSpecs found right as Merge would, with the names of a version.
func Configured(v Version, specs []Spec) []Spec {
	translated := make([]Spec, 0, len(specs))
	for _, s := range specs {
		if h, ok := namedAnywhere(s.Name); ok {
			translated = append(translated, Spec{h.Name(v), s.Topics})
		}
	}
	merged, _ := Merge(v, []Answer{{Specs: translated}})
	return merged
}

func namedAnywhere(name string) (Hook, bool) {
	if h, ok := Named(V3, name); ok {
		return h, true
	}
	return Named(V1, name)
}

func unknownAnywhere(name string) string {
	if name == "" {
		return "a hook needs a name, such as client.authenticate"
	}
	if like := suggest(name, []Version{V3, V1}); like != "" {
		return fmt.Sprintf("there is no hook %q: did you mean %q?", shown(name), like)
	}
	var names []string
	for h := ClientConnect; h < hookCount; h++ {
		names = append(names, h.Name(V3))
	}
	return fmt.Sprintf("there is no hook %q: it is one of %s", shown(name), strings.Join(names, ", "))
}

// filterMistake says why no message will ever match a filter.
func filterMistake(filter string) string {
	const longest = 65535 // MQTT 5.0, 4.7.3
	switch {
	case filter == "":
		return "a topic filter cannot be empty: leave topics out for every topic"
	case len(filter) > longest:
		return fmt.Sprintf("the topic filter has %d bytes: MQTT allows %d", len(filter), longest)
	case !utf8.ValidString(filter) || strings.ContainsRune(filter, 0):
		return "the topic filter is not a text of MQTT: it has a NUL or is not UTF-8"
	case strings.HasPrefix(filter, "$share/"), strings.HasPrefix(filter, "$queue/"):
		return fmt.Sprintf("%q is for subscriptions: hooks are about topics, so write what follows the group", shown(filter))
	case strings.HasPrefix(filter, "$SYS/"):
		return fmt.Sprintf("%q matches nothing: EMQX never calls hooks for messages under $SYS/", shown(filter))
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case level == "#" && i < len(levels)-1:
			return fmt.Sprintf("%q: # can only be the last level", shown(filter))
		case len(level) > 1 && strings.ContainsAny(level, "+#"):
			return fmt.Sprintf("%q: + and # stand for whole levels: write them between slashes", shown(filter))
		}
	}
	return ""
}

func shown(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		return string([]rune(text)[:most]) + "…"
	}
	return text
}

// oneOf joins words as prose: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
