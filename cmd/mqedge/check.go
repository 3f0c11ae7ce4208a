package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge"
)

func newCheck() *cobra.Command {
	var asJSON, show bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration and print every mistake in it",
		Long: `Load and check a configuration; nothing is opened but the files it names.

Every mistake is printed on a line of its own:
  FILE:LINE:COLUMN: path.to.key: what is wrong and what would be right

Exit codes: 0 good (there may be warnings), 2 there are errors.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			c, problems := edge.Load(args[0])
			bad := problems.Err() != nil
			switch {
			case asJSON:
				if err := printProblems(out, problems); err != nil {
					return err
				}
			case show && !bad:
				for _, p := range problems {
					fmt.Fprintln(cmd.ErrOrStderr(), p)
				}
				out.Write(c.YAML())
			default:
				for _, p := range problems {
					fmt.Fprintln(out, p)
				}
				if !bad {
					fmt.Fprintf(out, "%s: ok\n", args[0])
				}
			}
			if bad {
				return &failure{code: exitUsage}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the problems as JSON")
	cmd.Flags().BoolVar(&show, "print", false, "print the configuration with all defaults filled in")
	return cmd
}

// printProblems prints them as JSON.
func printProblems(out io.Writer, problems configs.Problems) error {
	if problems == nil {
		problems = configs.Problems{} // [], not null
	}
	return printJSON(out, problems)
}

func printJSON(out io.Writer, value any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return &failure{code: exitFailed, err: err}
	}
	return nil
}
