// Command broker is what runs in the containers of the tests: the embedded broker, which reads two of EMQX's variables.
//
//	broker         serves
//	broker health  fails while it is sick, for a HEALTHCHECK
//	broker sick    makes it so; broker well ends it
package main

import (
	"cmp"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mqedge/mqedge/demo/broker"
)

const sick = "/sick"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch strings.Join(args, " ") {
	case "":
		return serve()
	case "health":
		if _, err := os.Stat(sick); err == nil {
			return fmt.Errorf("it is sick")
		}
		return nil
	case "sick":
		return os.WriteFile(sick, nil, 0o600)
	case "well":
		return os.Remove(sick)
	}
	return fmt.Errorf("no such verb: %q", args)
}

func serve() error {
	const listener = "EMQX_LISTENERS__TCP__DEFAULT__"
	signal.Ignore(syscall.SIGHUP) // which asks many servers to read their configuration
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if os.Getenv("STUBBORN") != "" { // only SIGKILL ends it
		signal.Ignore(syscall.SIGTERM)
	}
	b, err := broker.Start(broker.Options{
		Addr:          strings.Trim(cmp.Or(os.Getenv(listener+"BIND"), "0.0.0.0:1883"), `"`),
		ProxyProtocol: os.Getenv(listener+"PROXY_PROTOCOL") == "true",
	})
	if err != nil {
		return err
	}
	<-stop
	b.Close()
	return nil
}
