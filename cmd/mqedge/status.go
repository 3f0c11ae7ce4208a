package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/configs"
)

// adminFlags are the flags of every verb that asks a running mqedge.
type adminFlags struct{ addr, tokenFile string }

func (f *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.addr, "admin", configs.Default().Admin.Bind, "the admin `ADDRESS` of the running mqedge, as in admin.bind")
}

func (f *adminFlags) addToken(cmd *cobra.Command) {
	f.add(cmd)
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "the `FILE` with the token, as in admin.token_file")
}

func (f *adminFlags) client() (*admin.Client, error) {
	c := admin.NewClient(f.addr)
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, err
		}
		c.Token = strings.TrimSpace(string(token))
	}
	return c, nil
}

// ask runs a request that Ctrl-C gives up.
func (f *adminFlags) ask(request func(context.Context, *admin.Client) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := f.client()
	if err == nil {
		err = request(ctx, c)
	}
	if err != nil {
		return &failure{code: exitFailed, err: err}
	}
	return nil
}

func newStatus() *cobra.Command {
	var f adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a running mqedge on one screen",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					return enc.Encode(s)
				}
				columns, _ := strconv.Atoi(os.Getenv("COLUMNS"))
				return admin.Render(cmd.OutOrStdout(), s, columns)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

func newHealth() *cobra.Command {
	var f adminFlags
	var live bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Exit with 0 if a running mqedge takes connections, for a container's HEALTHCHECK",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				ask, good := c.Health, "ready"
				if live {
					ask, good = c.Live, "alive"
				}
				if err := ask(ctx); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), good)
				return err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&live, "live", false, "0 too while it drains, has no endpoint or is short of memory: for what restarts a container")
	return cmd
}

func newDrain() *cobra.Command {
	var f adminFlags
	var how admin.Drain
	var over time.Duration
	cmd := &cobra.Command{
		Use:   "drain UPSTREAM ENDPOINT",
		Short: "Give an endpoint no new connections and move its clients away",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("over") {
				how.Over = &over
			}
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				on, err := c.Drain(ctx, args[0], args[1], how)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: draining%s\n", args[0], args[1], holdsOn(on))
				return err
			})
		},
	}
	f.addToken(cmd)
	cmd.Flags().DurationVar(&over, "over", 0, "move its clients away over this time instead of the configuration's drain.over")
	cmd.Flags().BoolVar(&how.Keep, "keep", false, "let its clients stay until they go by themselves")
	cmd.Flags().BoolVar(&how.Local, "local", false, "on this edge alone, not on all that share drains by gossip")
	cmd.MarkFlagsMutuallyExclusive("over", "keep")
	return cmd
}

func holdsOn(on string) string {
	if on == "" {
		return ""
	}
	return " on " + on
}

func newEnable() *cobra.Command {
	var f adminFlags
	var local bool
	cmd := &cobra.Command{
		Use:   "enable UPSTREAM ENDPOINT",
		Short: "Give a drained endpoint new connections again",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ask(func(ctx context.Context, c *admin.Client) error {
				on, err := c.Enable(ctx, args[0], args[1], local)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: enabled%s\n", args[0], args[1], holdsOn(on))
				return err
			})
		},
	}
	f.addToken(cmd)
	cmd.Flags().BoolVar(&local, "local", false, "on this edge alone, though it is drained on others")
	return cmd
}
