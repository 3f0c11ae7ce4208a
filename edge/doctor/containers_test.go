package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/docker"
)

// withContainers is a host that an agent is to run on.
func withContainers(e Engine) (*configs.Config, *Host) {
	c := configs.Default()
	gossip, section := configs.DefaultGossip(), configs.DefaultDocker()
	gossip.Docker = &section
	c.Gossip = &gossip
	return &c, &Host{Engine: &e, Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "32768 60999"}}
}

func TestAContainerThatCannotBeAnnouncedIsFound(t *testing.T) {
	text := Examine(withContainers(Engine{Containers: []docker.Container{
		{Name: "good", Offers: []docker.Offer{{Service: "emqx", Addr: ":1883"}}},
		{Name: "bad", Wrong: true, Reason: "label mqedge.port is missing"},
		{Name: "stopped", Reason: "it has stopped"},
		{Name: "odd", Warnings: []string{"label mqedge.wieght means nothing"}},
	}})).Text()
	for _, want := range []string{"warning  containers have labels, and cannot be announced", "bad: label mqedge.port is missing", "note     containers have labels that mean nothing", "odd: label mqedge.wieght"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "stopped") || strings.Contains(text, "good") {
		t.Errorf("what is no mistake is in\n%s", text)
	}
}

func TestAnEngineThatCannotBeAskedIsFound(t *testing.T) {
	text := Examine(withContainers(Engine{Err: errors.New("this user may not open /var/run/docker.sock")})).Text()
	if !strings.Contains(text, "error    no container is announced") || !strings.Contains(text, "gossip.docker.socket: this user may not open") {
		t.Error(text)
	}
}

func TestPortsOfContainersMayBeTakenByOutgoingConnections(t *testing.T) {
	text := Examine(withContainers(Engine{Containers: []docker.Container{
		{Name: "emqx1", OnHost: true, Offers: []docker.Offer{{Addr: ":41871"}, {Addr: "192.0.2.77:41872"}}},
		{Name: "emqx2", OnHost: true, Offers: []docker.Offer{{Addr: ":21871"}}},
		{Name: "bridge", Offers: []docker.Offer{{Addr: ":32770"}}},
	}})).Text()
	if !strings.Contains(text, "41871  container emqx1") || strings.Contains(text, "41872") || strings.Contains(text, "21871") || strings.Contains(text, "32770") {
		t.Error(text)
	}
}
