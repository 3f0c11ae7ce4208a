package haproxy

import (
	"slices"
	"strings"
)

// under returns the lines of a section that begin with words, its own and then those of its defaults, and marks them as
// used: who asks tells what they become.
func (s *section) under(words ...string) []*line {
	var found []*line
	for at := s; at != nil; at = at.defaults {
		for _, l := range at.lines {
			if l.begins(words...) {
				l.used = true
				found = append(found, l)
			}
		}
	}
	return found
}

// own is under without the defaults.
func (s *section) own(words ...string) []*line {
	var found []*line
	for _, l := range s.lines {
		if l.begins(words...) {
			l.used = true
			found = append(found, l)
		}
	}
	return found
}

// last returns the line in force of those that begin with words: the last of the section, or else of its defaults.
func (s *section) last(words ...string) *line {
	if own := s.own(words...); own != nil {
		return own[len(own)-1]
	}
	if s.defaults != nil {
		return s.defaults.last(words...)
	}
	return nil
}

// on says whether an option is set, and not unset.
func (s *section) on(option string) bool {
	for at := s; at != nil; at = at.defaults {
		for _, l := range slices.Backward(at.lines) {
			switch {
			case l.begins("option", option):
				l.used = true
				return true
			case l.begins("no", "option", option):
				l.used = true
				return false
			}
		}
	}
	return false
}

// arg returns the word at a place of the line, or "".
func (l *line) arg(i int) string {
	if l == nil || i >= len(l.words) {
		return ""
	}
	return l.words[i]
}

func (l *line) begins(words ...string) bool {
	return len(l.words) >= len(words) && slices.Equal(l.words[:len(words)], words)
}

func (l *line) text() string { return strings.Join(l.words, " ") }

// mentions says whether a word stands anywhere in the lines of a section, its defaults apart.
func (s *section) mentions(word string) bool {
	return slices.ContainsFunc(s.lines, func(l *line) bool { return strings.Contains(l.text(), word) })
}

func (s *section) http() bool { return s.last("mode").arg(1) == "http" }
