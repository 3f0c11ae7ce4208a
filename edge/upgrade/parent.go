package upgrade

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Tied says why the end of this process would be the end of the one that takes its place as well; nil if nothing is known that
// speaks against an upgrade. A process that took another's place itself outlived that one, and is asked for its own number alone.
func Tied(before *Predecessor) error {
	return lookAround().tied(before != nil)
}

// parentage is what ties a process to others.
type parentage struct {
	pid, parent int
	contained   bool   // in a namespace of processes that is not the host's
	parentName  string // "" where it cannot be known
	notified    bool   // somebody is told which process is the service's
}

func lookAround() parentage {
	p := parentage{pid: os.Getpid(), parent: os.Getppid(), contained: contained(), notified: os.Getenv("NOTIFY_SOCKET") != ""}
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.parent))
	p.parentName = strings.TrimSpace(string(name))
	return p
}

var (
	// engines start the first process of a container, and end the container with it.
	engines = []string{"containerd-shim", "docker-containe", "conmon"}
	// managers are first processes that do not end with one of their children.
	managers = []string{"systemd", "init", "openrc-init", "runit", "s6-svscan"}
)

func (p parentage) tied(successor bool) error {
	const instead = "start a new container instead"
	switch {
	case p.pid == 1:
		return fmt.Errorf("this is process 1 of a container, and all others end with it: %s", instead)
	case successor:
		return nil
	case p.parent == 0:
		return fmt.Errorf("this process was started from outside of its container, which may end with it: %s", instead)
	case slices.Contains(engines, p.parentName):
		return fmt.Errorf("this is the first process of a container, which ends with it: %s", instead)
	case p.parent == 1 && p.contained && !slices.Contains(managers, p.parentName) && !(p.parentName == "" && p.notified):
		return fmt.Errorf("its parent is process 1 of a container (%q) and may wait for it to end, and the container ends with that: %s", p.parentName, instead)
	}
	return nil
}
