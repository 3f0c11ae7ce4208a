package configs

import (
	"cmp"
	"fmt"
	"strings"
)

// Markdown returns the reference of all keys as a page: what each does, what may be written, and what holds without it.
func Markdown() []byte {
	var b strings.Builder
	b.WriteString(`# Every key

Made from the program by ` + "`mqedge schema --markdown`" + `: each key with what may be written and what holds if it is not there. NAME is a name of your choice, [] each item of a
list. [configuration.md](configuration.md) says more about each, and how values are written; ` + "`mqedge explain KEY`" + ` says the same in a terminal, for the version that is
installed.
`)
	root := Keys()
	var top []Key // keys that have sections of their own on the page
	for _, k := range root.Keys {
		if k.named || k.Path == "gossip" {
			top = append(top, k)
		}
	}
	b.WriteString("\n## Top of the file\n")
	table(&b)
	for _, k := range root.Keys {
		row(&b, k)
		if !k.named && k.Path != "gossip" {
			for _, child := range k.All() {
				row(&b, child)
			}
		}
	}
	for _, k := range top {
		title := k.Path
		if k.named {
			title += ".NAME"
		}
		fmt.Fprintf(&b, "\n## %s\n", title)
		table(&b)
		for _, child := range k.All() {
			row(&b, child)
		}
	}
	return []byte(b.String())
}

func table(b *strings.Builder) {
	b.WriteString("\n| key | value | default | meaning |\n|---|---|---|---|\n")
}

func row(b *strings.Builder, k Key) {
	normal := ""
	switch {
	case k.Required:
		normal = "required"
	case k.Default != "":
		normal = "`" + k.Default + "`"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.Path, cell(k.Value), normal, cell(cmp.Or(k.Text, "–")))
}

// cell is a text that may stand in a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "[", `\[`).Replace(text)
}
