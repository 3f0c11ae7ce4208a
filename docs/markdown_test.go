package docs_test

import (
	"regexp"
	"strings"
)

// block is what stands between fences.
type block struct {
	text  string
	line  int // of the opening fence
	whole bool
}

// blocks are those of one language.
func blocks(page, language string) []block {
	var found []block
	var open *block
	lines := strings.Split(page, "\n")
	for i, line := range lines {
		switch {
		case open != nil && line == "```":
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case line == "```"+language:
			open = &block{line: i + 1, whole: i > 0 && lines[i-1] == wholeConfig}
		}
	}
	return found
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names that GitHub gives to the headings of a page.
func anchors(page string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		name := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
