package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/admin"
)

func newReload() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make a running mqedge load its configuration again, as HUP does, and say what is wrong with it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				if err := c.Reload(ctx); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "reloaded")
				return err
			})
		},
	}
	f.addToken(cmd)
	return cmd
}
