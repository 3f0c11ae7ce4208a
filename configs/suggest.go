package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// suggest returns the candidate most like word, or "" when none is.
func suggest(word string, candidates []string) string {
	const longest, many = 64, 1000 // nobody mistypes more, or expects an answer from more
	if len(word) > longest {
		return ""
	}
	candidates = candidates[:min(len(candidates), many)]
	most := max(len(word)/3, min(2, len(word)/2))
	if strings.ContainsAny(word[:min(1, len(word))], "0123456789") {
		most = 0 // a number near another is not a misspelling of it
	}
	best, bareWord := "", bare(word)
	for _, candidate := range candidates {
		d := most + 1
		if bareCandidate := bare(candidate); max(len(bareWord)-len(bareCandidate), len(bareCandidate)-len(bareWord)) <= most {
			d = distance(bareWord, bareCandidate)
		}
		if len(candidate) > 2 && (strings.HasPrefix(word, candidate) || strings.HasSuffix(word, candidate)) {
			d = min(d, 2) // warning for warn, TLSv1.2 for 1.2
		}
		if d <= most && (best == "" || d < most) {
			best, most = candidate, d
		}
	}
	return best
}

// didYouMean returns `: did you mean "x"?`, or what else to say when nothing is alike.
func didYouMean(word string, candidates []string, otherwise string) string {
	if s := suggest(word, candidates); s != "" {
		return fmt.Sprintf(": did you mean %q?", s)
	}
	return otherwise
}

// bare drops what people get wrong about a word without misspelling it: case, hyphens and underscores.
func bare(word string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(word, "-", ""), "_", ""))
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}

// words joins a list as prose: "a, b or c".
func words(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// shown quotes a value for a message, shortened to what helps to find it.
func shown(value string) string {
	const most = 60
	if utf8.RuneCountInString(value) > most {
		value = string([]rune(value)[:most]) + "…"
	}
	return fmt.Sprintf("%q", value)
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
