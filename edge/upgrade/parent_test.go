package upgrade

import (
	"strings"
	"testing"
)

func TestAProcessThatAContainerEndsWithIsTied(t *testing.T) {
	for _, c := range []struct {
		name      string
		p         parentage
		successor bool
		want      string
	}{
		{"process 1", parentage{pid: 1, contained: true}, false, "this is process 1"},
		{"under docker run --init", parentage{pid: 7, parent: 1, contained: true, parentName: "docker-init"}, false, `("docker-init")`},
		{"under a shell as entrypoint", parentage{pid: 7, parent: 1, contained: true, parentName: "sh"}, false, `("sh")`},
		{"under podman's init with its socket", parentage{pid: 7, parent: 1, contained: true, parentName: "catatonit", notified: true}, false, "catatonit"},
		{"in a pod that shares processes", parentage{pid: 7, contained: true}, false, "from outside"},
		{"with the host's processes", parentage{pid: 700, parent: 600, parentName: "containerd-shim"}, false, "first process of a container"},
		{"under systemd", parentage{pid: 700, parent: 1, parentName: "systemd", notified: true}, false, ""},
		{"under systemd in a container", parentage{pid: 70, parent: 1, contained: true, parentName: "systemd", notified: true}, false, ""},
		{"under a systemd that hides", parentage{pid: 70, parent: 1, contained: true, notified: true}, false, ""},
		{"under the init of a host", parentage{pid: 700, parent: 1, parentName: "anything"}, false, ""},
		{"under a shell", parentage{pid: 700, parent: 600, contained: true, parentName: "bash"}, false, ""},
		{"left to process 1 by the process before", parentage{pid: 70, parent: 1, contained: true, parentName: "sh"}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.p.tied(c.successor)
			if c.want == "" && err != nil {
				t.Error(err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}
