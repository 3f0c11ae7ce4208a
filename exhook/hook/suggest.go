package hook

import "strings"

// suggest returns the name of a hook, in the first of the versions that has one like it, that a wrong name was probably meant to be, or "".
func suggest(name string, versions []Version) string {
	const longest = 64 // nobody mistypes more
	if name == "" || len(name) > longest {
		return ""
	}
	word := letters(name)
	best, distance := "", max(1, len(word)/4)+1
	for _, v := range versions {
		for h := ClientConnect; h < hookCount; h++ {
			candidate := h.Name(v)
			method := letters(Method{v, h}.RPC())
			if word == method || "on"+word == method {
				return candidate
			}
			if d := edits(word, letters(candidate)); d < distance {
				best, distance = candidate, d
			}
		}
	}
	return best
}

// letters drops what does not make a hook another one: case, dots, hyphens and underscores.
func letters(name string) string {
	return strings.ToLower(strings.NewReplacer(".", "", "-", "", "_", "", " ", "").Replace(name))
}

// edits is Levenshtein's distance, over bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above, cost := row[j+1], diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
