package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/configs"
)

func newExplain() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [KEY]",
		Short: "Say what a key of the configuration does, and what may be written",
		Long: `Say what a key of the configuration does, what may be written for it, and what
holds if it is not there. Of a section its keys are listed, and without KEY the
sections of the file.

Names are written as they are in a file, or as NAME or *, and lists with an index
or without. These mean the same:
  mqedge explain upstreams.emqx.health.active.type
  mqedge explain 'upstreams.*.health.active.type'

Exit codes: 0 explained, 2 there is no such key.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := configs.Keys().Find(strings.Join(args, ""))
			if err != nil {
				return &failure{code: exitUsage, err: err}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), k)
			}
			return explain(cmd.OutOrStdout(), k)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completions(typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

func explain(out io.Writer, k configs.Key) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if k.Path != "" {
		fmt.Fprintf(w, "%s\n", k.Path)
		if k.Text != "" {
			fmt.Fprintf(w, "  %s\n", strings.Join(wrapped(k.Text, 96), "\n  "))
		}
		fmt.Fprintf(w, "\n  value\t%s\n", k.Value)
		switch {
		case k.Required:
			fmt.Fprint(w, "  default\tnone, it has to be written\n")
		case k.Default != "":
			fmt.Fprintf(w, "  default\t%s\n", k.Default)
		}
		fmt.Fprintf(w, "  since\t%s\n", k.Since)
		if len(k.Keys) > 0 {
			fmt.Fprintln(w)
		}
	}
	for _, child := range k.Keys {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", child.Name(), cmp.Or(child.Default, map[bool]string{true: "required"}[child.Required], "…"), child.Text)
	}
	return w.Flush()
}

// wrapped breaks a text into lines of at most so many characters, where it has spaces.
func wrapped(text string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		if n := len(lines); n > 0 && len([]rune(lines[n-1]))+1+len([]rune(word)) <= width {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// completions are the paths one step further than what is typed.
func completions(typed string) []string {
	section, prefix := configs.Keys(), ""
	if dot := strings.LastIndexByte(typed, '.'); dot >= 0 {
		at, err := section.Find(typed[:dot])
		if err != nil {
			return nil
		}
		section, prefix = at, typed[:dot+1]
	}
	var list []string
	if section.Named() && strings.Count(prefix, ".") == strings.Count(section.Path, ".")+1 {
		return []string{prefix + "NAME."} // the name itself is next
	}
	for _, k := range section.Keys {
		if word := prefix + k.Name(); strings.HasPrefix(word, typed) {
			if len(k.Keys) > 0 {
				list = append(list, word+".\t"+k.Text, word+"\t"+k.Text)
			} else {
				list = append(list, word+"\t"+k.Text)
			}
		}
	}
	return list
}
