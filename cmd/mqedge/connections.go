package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/admin"
)

// fewConnections is how many are shown unless more are asked for.
const fewConnections = 100

func newConnections() *cobra.Command {
	var f adminFlags
	var filter admin.ConnectionFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "List the connections of a running mqedge",
		Long: `List live connections, some of them where there are many, in no order.

Client ids are any bytes. In the table what does not print is written as in
$'...' of a shell; in JSON client_id_base64 has an id that is not UTF-8.

Exit codes: 0, 1 no answer or, with --client-id, nobody has that id.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if filter.Limit < 1 {
				return errors.New("--limit: write a number from 1")
			}
			if filter.ClientID == "" && cmd.Flags().Changed("client-id") {
				return errors.New("--client-id is empty: which client?")
			}
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				list, err := c.Connections(ctx, filter)
				if err != nil {
					return err
				}
				nobody := list.Total == 0 && filter.ClientID != ""
				switch {
				case asJSON:
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					err = enc.Encode(list)
				case !nobody:
					columns, _ := strconv.Atoi(os.Getenv("COLUMNS"))
					err = admin.RenderConnections(cmd.OutOrStdout(), list, time.Now(), columns)
				}
				if nobody && err == nil {
					return fmt.Errorf("no client is connected by the id %q", filter.ClientID)
				}
				return err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&filter.ClientID, "client-id", "", "only those with this MQTT client `ID`")
	cmd.Flags().StringVar(&filter.Listener, "listener", "", "only those of the listener of this `NAME`")
	cmd.Flags().StringVar(&filter.Upstream, "upstream", "", "only those to the upstream of this `NAME`")
	cmd.Flags().StringVar(&filter.Endpoint, "endpoint", "", "only those to the endpoint with this `ADDRESS`")
	cmd.Flags().IntVar(&filter.Limit, "limit", fewConnections, "show at most this `NUMBER`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON, with the total")
	return cmd
}

func newKick() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "kick CLIENT_ID",
		Short: "Close the connections of an MQTT client",
		Long: `Close the connections of an MQTT client and print how many there were. Nothing
keeps it from coming back. An id that begins with a dash goes behind --.

Exit codes: 0, 1 no answer, or nobody has that id.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := args[0]
			if id == "" {
				return errors.New("the client id is empty: which client?")
			}
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				n, err := c.Kick(ctx, id)
				if err != nil {
					return err
				}
				if n == 0 {
					return fmt.Errorf("no client is connected by the id %q", id)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "kicked %d\n", n)
				return err
			})
		},
	}
	f.addToken(cmd)
	return cmd
}
