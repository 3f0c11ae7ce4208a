package configs

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

type entry struct{ key, value *yaml.Node }

// entries returns the keys of a mapping, those merged into it by << after its own.
func (d *decoder) entries(n *yaml.Node, p path) []entry {
	var own, merged []entry
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := position{key.Line, key.Column}
		switch {
		case key.Kind != yaml.ScalarNode:
			d.add(at, p.text, fmt.Sprintf("a key must be a word, found %s", kindName(key.Kind)), false)
		case key.ShortTag() == "!!merge":
			merged = append(merged, d.merge(value, at, p)...)
		case first[key.Value] != nil:
			d.add(at, p.key(key.Value).text, fmt.Sprintf(
				"is written twice, first in line %d: remove one of them", first[key.Value].Line), false)
		default:
			first[key.Value] = key
			own = append(own, entry{key, value})
		}
	}
	for _, e := range merged {
		if first[e.key.Value] == nil {
			first[e.key.Value] = e.key
			own = append(own, e)
		}
	}
	return own
}

func (d *decoder) merge(n *yaml.Node, at position, p path) []entry {
	switch n.Kind {
	case yaml.MappingNode:
		return d.entries(n, p)
	case yaml.SequenceNode:
		var all []entry
		for _, item := range n.Content {
			if item.Kind != yaml.MappingNode {
				d.add(at, p.text, fmt.Sprintf("<< merges sections, found %s", kindName(item.Kind)), false)
				return nil
			}
			all = append(all, d.entries(item, p)...)
		}
		return all
	}
	d.add(at, p.text, "<< merges sections, found a single value: write <<: *name", false)
	return nil
}
