package gossip

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// successor takes the place of a node that was killed, as another process does.
func successor(t *testing.T, before *running, o Options) *running {
	t.Helper()
	tcp, udp := before.Sockets()
	streams, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	packets, err := udp.File()
	if err != nil {
		t.Fatal(err)
	}
	if o.Predecessor.Known, err = before.Known(); err != nil {
		t.Fatal(err)
	}
	before.kill()
	ln, err := net.FileListener(streams)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.FilePacketConn(packets)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{streams, packets} {
		f.Close()
	}
	o.Name, o.Bind = before.o.Name, before.Addr().String()
	o.Predecessor.Streams, o.Predecessor.Packets = ln.(*net.TCPListener), pc.(*net.UDPConn)
	return start(t, o)
}

func TestANodeThatTakesAnothersPlaceIsAMemberAtOnceAndNothingIsWithdrawn(t *testing.T) {
	agent := start(t, Options{Name: "agent"}) // told to join nobody: the others come to it
	edge := start(t, Options{Name: "edge", Join: join(agent)})
	announce(t, agent, at("emqx", "10.0.0.1:1883", "10.0.0.2:1883")...)
	announce(t, edge, at("edges", "10.0.0.9:8883")...)
	members(t, 2, agent, edge)
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883")
	sees(t, agent, "edges", "10.0.0.9:8883")
	began := agent.Addr()

	for range 2 { // twice in a row
		before := agent.name
		agent = successor(t, agent, Options{})
		announce(t, agent, at("emqx", "10.0.0.1:1883", "10.0.0.2:1883")...)
		if agent.Addr() != began || agent.name == before {
			t.Errorf("it is %s at %v", agent.name, agent.Addr())
		}
		eventually(t, func() string {
			for _, e := range edge.Endpoints("emqx") {
				if e.State == Left {
					t.Fatalf("%s was withdrawn", e.Addr)
				}
				if e.State != Present || len(e.Announced) != 1 || e.Announced[0] != agent.name {
					return fmt.Sprintf("%+v, want it announced by %s alone", e, agent.name)
				}
			}
			return ""
		})
		sees(t, agent, "edges", "10.0.0.9:8883")
	}
	members(t, 2, agent, edge)
}

func TestWhatThePredecessorKnewIsThereBeforeAnybodyAnswers(t *testing.T) {
	agent := start(t, Options{Name: "agent"})
	edge := start(t, Options{Name: "edge", Join: join(agent)})
	announce(t, agent, at("emqx", "10.0.0.1:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883")
	agent.kill()
	edge = successor(t, edge, Options{})
	eventually(t, func() string {
		if got := known(edge, "emqx"); len(got) != 1 || !strings.HasPrefix(got[0], "10.0.0.1:1883 ") {
			return fmt.Sprintf("it knows %v, want the endpoint, suspected", got)
		}
		return ""
	})
}

func TestSecretsThatAreSharedGoToTheSuccessorAndToNoFile(t *testing.T) {
	o := Options{Name: "edge", KeyFile: keyFile(t, key('k')), StateFile: filepath.Join(t.TempDir(), "state")}
	edge := start(t, o)
	must(t, edge.ShareSecret("tickets", "1", []byte("secret"), time.Hour))
	edge = successor(t, edge, o)
	eventually(t, func() string {
		if got := edge.Shared("tickets"); len(got) != 1 || string(got[0].Value) != "secret" {
			return fmt.Sprintf("the successor has %v", got)
		}
		return ""
	})
	must(t, edge.Share("drain", "k", nil, time.Hour))
	must(t, edge.save())
	if saved, err := os.ReadFile(o.StateFile); err != nil || !bytes.Contains(saved, []byte(`"drain"`)) || bytes.Contains(saved, []byte(`"tickets"`)) {
		t.Errorf("the file says %s, %v", saved, err)
	}
}
