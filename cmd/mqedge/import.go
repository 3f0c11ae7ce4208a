package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqedge/mqedge/configs/convert"
	"github.com/mqedge/mqedge/configs/haproxy"
	"github.com/mqedge/mqedge/configs/nginx"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Make a configuration from that of another program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("import from what? mqedge import nginx FILE, or mqedge import haproxy FILE")
		},
	}
	cmd.AddCommand(newImportNginx(), newImportHAProxy())
	return cmd
}

func newImportNginx() *cobra.Command {
	var o nginx.Options
	cmd := &cobra.Command{
		Use:   "nginx FILE",
		Short: "Make a configuration from nginx's stream {} and grpc_pass",
		Long: `Print a configuration that does what an nginx configuration does in stream {},
and where it balances gRPC by grpc_pass. FILE is the main file, such as
/etc/nginx/nginx.conf, or one made to be included in stream {} or http {}; what
it includes is read too.

On stderr there is a line for every directive that is not carried over, or not
as it was:
  FILE:LINE: directive: why, and what mqedge does instead

and those that mqedge check would print of the result on this machine.

nginx does not say what it passes on. Ports and names of EMQX become protocol
mqtt or mqtt_ws, which mqedge reads; anything else, and TLS that does not end
here, becomes tcp.

Exit codes: 0 something was imported, 2 nothing, or FILE is not nginx's.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkProtocol(o.Protocol); err != nil {
				return err
			}
			result, err := nginx.Import(args[0], o)
			return imported(cmd, result, err)
		},
	}
	protocolFlag(cmd, &o.Protocol)
	return cmd
}

func newImportHAProxy() *cobra.Command {
	var o haproxy.Options
	cmd := &cobra.Command{
		Use:   "haproxy FILE",
		Short: "Make a configuration from HAProxy's frontends and backends",
		Long: `Print a configuration that does what an HAProxy configuration does with streams
(mode tcp), with MQTT over WebSocket, and with gRPC. FILE is the main file, such
as /etc/haproxy/haproxy.cfg. HAProxy need not be installed; the environment
should be that of HAProxy if FILE has variables in it.

On stderr there is a line for every keyword that is not carried over, or not as
it was:
  FILE:LINE: keyword: why, and what mqedge does instead

and those that mqedge check would print of the result on this machine.

HAProxy does not say what it passes on. Rules about MQTT, and ports and names of
EMQX, become protocol mqtt or mqtt_ws, which mqedge reads; anything else, and
TLS that does not end here, becomes tcp.

Exit codes: 0 something was imported, 2 nothing, or FILE is not HAProxy's.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkProtocol(o.Protocol); err != nil {
				return err
			}
			result, err := haproxy.Import(args[0], o)
			return imported(cmd, result, err)
		},
	}
	protocolFlag(cmd, &o.Protocol)
	return cmd
}

func protocolFlag(cmd *cobra.Command, protocol *string) {
	cmd.Flags().StringVar(protocol, "protocol", "", "what all listeners speak, `mqtt|tcp`, instead of a guess")
	cmd.RegisterFlagCompletionFunc("protocol", cobra.FixedCompletions([]string{"mqtt", "tcp"}, cobra.ShellCompDirectiveNoFileComp))
}

func checkProtocol(protocol string) error {
	if protocol != "" && protocol != "mqtt" && protocol != "tcp" {
		return fmt.Errorf("--protocol %q: write mqtt or tcp", protocol)
	}
	return nil
}

// imported prints what was made of a file; the result has notes although there was an error, unless it is nil.
func imported(cmd *cobra.Command, result *convert.Result, err error) error {
	if result != nil {
		for _, note := range result.Notes {
			fmt.Fprintln(cmd.ErrOrStderr(), note)
		}
	}
	if err != nil {
		return &failure{code: exitUsage, err: err}
	}
	for _, p := range result.Problems {
		fmt.Fprintln(cmd.ErrOrStderr(), "mqedge check:", p)
	}
	if _, err := cmd.OutOrStdout().Write(result.YAML); err != nil {
		return &failure{code: exitFailed, err: err}
	}
	return nil
}
