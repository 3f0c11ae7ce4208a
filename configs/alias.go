package configs

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// maxExpansion bounds how many values aliases may add to a file: thousands of endpoints, but no alias bomb.
const maxExpansion = 100_000

// resolveAliases puts what each alias stands for in its place, so that nobody else need know of them. It reports
// false after an error: an alias within its own anchor, or aliases of aliases that would grow beyond any use.
func resolveAliases(r *report, root *yaml.Node) bool {
	a := aliases{report: r, size: map[*yaml.Node]int{}}
	a.limit = count(root) + maxExpansion
	return a.resolve(root)
}

type aliases struct {
	*report
	size  map[*yaml.Node]int // values under a node, aliases followed; 0 while it is being counted
	limit int
}

func (a *aliases) resolve(n *yaml.Node) bool {
	a.size[n] = 0
	total := 1
	for i, child := range n.Content {
		at := position{child.Line, child.Column}
		if child.Kind == yaml.AliasNode {
			name := child.Value
			child = child.Alias
			n.Content[i] = child
			if size, seen := a.size[child]; seen && size == 0 {
				a.add(at, "", fmt.Sprintf("alias *%s stands within its own anchor &%s: remove one of them", name, name), false)
				return false
			}
		}
		if a.size[child] == 0 && !a.resolve(child) {
			return false
		}
		total += a.size[child]
		if total > a.limit {
			a.add(at, "", fmt.Sprintf("aliases expand to more than %d values here: write the values out", maxExpansion), false)
			return false
		}
	}
	a.size[n] = total
	return true
}

func count(n *yaml.Node) int {
	total := 1
	for _, child := range n.Content {
		total += count(child)
	}
	return total
}
