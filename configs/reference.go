package configs

import (
	_ "embed"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed mqedge.yaml
var reference []byte

// Reference returns the file that has every key at its default, with the reason beside it.
func Reference() []byte {
	return append([]byte(nil), reference...)
}

var commentedKey = regexp.MustCompile(`(?m)^( *)#([a-z_-])`)

// fullReference is the reference file with the keys in it that are commented out: "#key" without a space is one.
func fullReference() []byte {
	return commentedKey.ReplaceAll(reference, []byte("$1$2"))
}

// descriptions returns what the reference file says about each key, by the schema form of its path: the comment on
// the key's line, or else the lines above it.
func descriptions() map[string]string {
	text := fullReference()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		panic(err) // it is part of the program, and tested
	}
	lines := strings.Split(string(text), "\n")
	found := map[string]string{}
	var walk func(n *yaml.Node, p path)
	walk = func(n *yaml.Node, p path) {
		if n.Kind == yaml.SequenceNode {
			for i, item := range n.Content {
				walk(item, p.index(i))
			}
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := p.key(key.Value)
			if p.schema == "listeners" || p.schema == "upstreams" {
				at = p.name(key.Value)
			}
			if found[at.schema] == "" { // the first upstream says most
				found[at.schema] = comment(lines, key.Line-1)
			}
			walk(n.Content[i+1], at)
		}
	}
	walk(root.Content[0], path{})
	return found
}

func comment(lines []string, line int) string {
	if _, text, ok := strings.Cut(lines[line], " # "); ok {
		return text
	}
	var above []string
	for line--; line >= 0; line-- {
		text, ok := strings.CutPrefix(strings.TrimSpace(lines[line]), "# ")
		if !ok {
			break
		}
		above = append([]string{text}, above...)
	}
	return strings.Join(above, " ")
}
