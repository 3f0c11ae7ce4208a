package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

// instanceVariable makes a process of the test binary an instance, at the addresses it holds.
const instanceVariable = "MQEDGE_E2E_INSTANCE"

// instance is a process with brokers, which can be killed as an EMQX can.
type instance struct {
	t         testing.TB
	addresses []string
	cmd       *exec.Cmd
	stdin     io.Closer
}

// startInstance returns when it listens.
func startInstance(t testing.TB, addresses ...string) *instance {
	t.Helper()
	return startInstanceBy(t, exec.Command(os.Args[0]), addresses...)
}

func startInstanceBy(t testing.TB, cmd *exec.Cmd, addresses ...string) *instance {
	t.Helper()
	i := &instance{t: t, addresses: addresses, cmd: cmd}
	i.cmd.Env = append(os.Environ(), instanceVariable+"="+strings.Join(addresses, ","))
	i.cmd.Stderr = os.Stderr
	stdin, err := i.cmd.StdinPipe()
	must(t, err)
	stdout, err := i.cmd.StdoutPipe()
	must(t, err)
	i.stdin = stdin
	must(t, i.cmd.Start())
	t.Cleanup(i.kill)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "listening\n" {
		t.Fatalf("the instance at %v said %q, %v", addresses, line, err)
	}
	return i
}

// kill is kill -9.
func (i *instance) kill() {
	i.cmd.Process.Signal(syscall.SIGKILL) // the second time there is none any more
	i.stdin.Close()
	i.cmd.Wait()
}

// serveInstance is the life of such a process. It ends with its parent, which has the other end of its standard input.
func serveInstance(addresses string) {
	for address := range strings.SplitSeq(addresses, ",") {
		if _, err := broker.Start(broker.Options{Addr: address, ProxyProtocol: true}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("listening")
	io.Copy(io.Discard, os.Stdin)
}
