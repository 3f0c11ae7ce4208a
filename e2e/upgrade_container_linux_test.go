package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// init passes on what it is told, as tini and the like do, and ends with its child.
const childOfInit = `"$0" "$@" & trap 'kill -USR2 $!' USR2; trap 'kill $!' TERM; while ! wait $!; do kill -0 $! 2>/dev/null || exit 0; done`

func TestAnUpgradeIsRefusedWhereItWouldEndTheContainer(t *testing.T) {
	t.Parallel()
	for want, init := range map[string]string{"this is process 1 of a container": "", "its parent is process 1 of a container": childOfInit} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			node := startFake(t, acknowledge)
			l := newLine(t, fmt.Sprintf(upgrading, "0s", endpoints(node.address()), ""))
			if init != "" {
				l.cmd.Args = append([]string{"sh", "-c", init, l.binary}, l.cmd.Args[1:]...)
				l.cmd.Path = program(t, "sh")
			}
			l.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
			probe := *l.cmd
			probe.Path, probe.Args = program(t, "true"), []string{"true"}
			if err := probe.Run(); errors.Is(err, syscall.EPERM) {
				t.Skipf("NOT TESTED: namespaces of processes cannot be made here: %v", err)
			}
			l.launch()
			l.awaitReady()
			d := mustConnect(t, l.addr("mqtt"), nil, "stays")
			l.kill(syscall.SIGUSR2)
			l.awaitLog("no upgrade", want)
			must(t, d.ping())
		})
	}
}
