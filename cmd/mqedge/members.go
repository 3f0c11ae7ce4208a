package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/admin"
)

func newMembers() *cobra.Command {
	var f adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List the members of the gossip cluster that a running mqedge knows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				members, err := c.Members(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					return enc.Encode(members)
				}
				columns, _ := strconv.Atoi(os.Getenv("COLUMNS"))
				return admin.RenderMembers(cmd.OutOrStdout(), members, time.Now(), columns)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}
