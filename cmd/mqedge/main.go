// Command mqedge is the edge of an EMQX cluster in one process.
//
// This package has the verbs, the signals and the exit codes; what they do is
// in package edge and below it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed = 1 // it could not be done
	exitUsage  = 2 // bad command line or configuration
)

// failure is an error that has been told to the user already, or carries its
// own exit code.
type failure struct {
	code int
	err  error // nil: nothing more to say
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit %d", f.code)
	}
	return f.err.Error()
}

func main() {
	os.Exit(execute(os.Args[1:]))
}

func execute(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	f := &failure{code: exitUsage, err: err}
	if !errors.As(err, &f) {
		fmt.Fprintf(os.Stderr, "mqedge: %v\nTry `mqedge help`.\n", err)
		return exitUsage
	}
	if f.err != nil {
		fmt.Fprintf(os.Stderr, "mqedge: %v\n", f.err)
	}
	return f.code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mqedge",
		Short: "The edge of an EMQX cluster in one process",
		Long: `mqedge terminates TLS and spreads MQTT connections over the nodes of an EMQX
cluster, with the client's real address passed on by the PROXY protocol.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		newRun(), newCheck(), newImport(), newDoctor(), newKeygen(), newDemo(),
		newStatus(), newTop(), newMembers(), newConnections(), newKick(), newHealth(), newReload(), newDrain(), newEnable(),
		newExplain(), newSchema(), newVersion(), newCompletion(),
	)
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion refuses a shell it does not know
	return root
}
