package edge

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/docker"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// newOffers are those of a node that does not run.
func newOffers(t *testing.T, file ...configs.Announcement) *offers {
	t.Helper()
	node, err := gossip.New(gossip.Options{Bind: "127.0.0.1:0", Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{LogOutput: t.Output()})
	o := &offers{node: node, log: e.log, clientID: "test"}
	o.use(&configs.Gossip{Announce: file}, nil)
	t.Cleanup(o.stop)
	return o
}

func inFile(address string) configs.Announcement {
	a := configs.DefaultAnnouncement()
	a.Service, a.Address = "emqx", address
	return a
}

func withOffers(name, run string, offers ...docker.Offer) docker.Container {
	return docker.Container{ID: name, Name: name, Run: run, Offers: offers}
}

func unchecked(addr string) docker.Offer {
	return docker.Offer{Service: "emqx", Addr: addr, Check: docker.Check{Type: "none"}}
}

// announcedAs is each announcement as its address and state.
func announcedAs(o *offers) []string {
	var out []string
	for _, a := range o.announced().Announcements {
		out = append(out, strings.TrimSpace(a.Address+" "+a.State+" "+a.Container+" "+a.Reason))
	}
	return out
}

func TestOneContainerThatCannotBeAnnouncedHarmsNoOther(t *testing.T) {
	o := newOffers(t, inFile("10.0.0.5:1883"))
	o.heardOf([]docker.Container{
		withOffers("a", "1", unchecked("10.0.0.5:1884"), unchecked("192.168.0.1:1883")),
		withOffers("b", "1", unchecked("10.0.0.5:1884")),
		withOffers("c", "1", unchecked("10.0.0.5:1883")),
		withOffers("d", "1", docker.Offer{Service: "emqx", Addr: "10.0.0.5:1885", Check: docker.Check{Type: "none"}, Note: "known", Weight: 7}),
		{ID: "e", Name: "e", Reason: "a label is wrong", Wrong: true},
	})
	want := []string{
		"10.0.0.5:1883 up",
		"10.0.0.5:1884 up a",
		"10.0.0.5:1885 up d known",
		`192.168.0.1:1883 refused a address "192.168.0.1:1883": others would refuse it (gossip.allow: 127.0.0.0/8, 10.0.0.0/8)`,
		"10.0.0.5:1884 refused b is announced already, by container a",
		"10.0.0.5:1883 refused c is announced already, by gossip.announce of the file",
	}
	if got := announcedAs(o); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if a := o.announced().Announcements[2]; a.Weight != 7 {
		t.Errorf("weight 7 became %d", a.Weight)
	}
	o.heardOf(nil)
	if got := announcedAs(o); !slices.Equal(got, []string{"10.0.0.5:1883 up"}) {
		t.Errorf("without containers: %q", got)
	}
}

func TestAContainerThatStartsAgainHasToProveItselfAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := newOffers(t)
	checked := docker.Offer{Service: "emqx", Addr: l.Addr().String(), Check: docker.Check{Type: "tcp", Interval: time.Hour, Timeout: time.Second}}
	await := func(want string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			got := announcedAs(o)
			if len(got) == 1 && strings.HasPrefix(got[0], want) {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("%q, want %q", got, want)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	o.heardOf([]docker.Container{withOffers("a", "1", checked)})
	await(l.Addr().String() + " up a")
	heavier := checked
	heavier.Weight = 5
	o.heardOf([]docker.Container{withOffers("a", "1", heavier)})
	if got := announcedAs(o); got[0] != l.Addr().String()+" up a" {
		t.Errorf("another weight makes it %q", got)
	}
	l.Close()
	o.heardOf([]docker.Container{withOffers("a", "2", heavier)})
	await(l.Addr().String() + " waiting a its check has not succeeded yet: ")
}

func TestWhatIsAnnouncedStaysSoUnderAnotherNameOrWithACheck(t *testing.T) {
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	addr := hangs.Addr().String()
	o := newOffers(t)
	o.heardOf([]docker.Container{withOffers("a", "1", unchecked(addr))})
	asked := docker.Offer{Service: "emqx", Addr: addr, Check: docker.Check{Type: "mqtt", Interval: time.Hour, Timeout: time.Hour}}
	for _, name := range []string{"a", "renamed"} {
		c := withOffers("a", "1", asked)
		c.Name = name
		o.heardOf([]docker.Container{c})
		if got := announcedAs(o); !slices.Equal(got, []string{addr + " up " + name}) {
			t.Errorf("%q", got)
		}
	}
	checked := inFile(addr)
	checked.Check.Type, checked.Check.Interval, checked.Check.Timeout = "mqtt", time.Hour, time.Hour
	for _, a := range []configs.Announcement{inFile(addr), checked} {
		o.use(&configs.Gossip{Announce: []configs.Announcement{a}}, nil)
		if got := announcedAs(o); !slices.Equal(got, []string{addr + " up"}) {
			t.Errorf("in the file: %q", got)
		}
	}
}

func TestManyContainersAreNoGreatWork(t *testing.T) {
	o := newOffers(t)
	var all []docker.Container
	for i := range 1024 {
		name := fmt.Sprint("c", i)
		all = append(all, withOffers(name, "1", unchecked(fmt.Sprintf("10.0.%d.%d:1883", i/256, i%256)), unchecked(fmt.Sprintf("10.0.%d.%d:1883", i/256, i%256))))
	}
	o.heardOf(all)
	perChange := testing.AllocsPerRun(3, func() { o.heardOf(all) })
	if got := len(announcedAs(o)); got != 2*len(all) { // each is refused once
		t.Errorf("%d", got)
	}
	if perChange > 200*float64(len(all)) {
		t.Errorf("%.0f allocations when one of them changes", perChange)
	}
}

func TestWhatAContainerSaysIsLaidOverTheDefaults(t *testing.T) {
	w := offeringOf(withOffers("a", "1"), docker.Offer{Service: "emqx", Addr: ":1883", SendProxy: "on", Check: docker.Check{Type: "emqx", Addr: "10.0.0.5:28083", Fall: 9, Interval: time.Second}})
	want := configs.DefaultAnnouncement()
	want.Service, want.Address, want.SendProxy = "emqx", ":1883", "on"
	want.Check.Type, want.Check.Port, want.Check.Fall, want.Check.Interval, want.Check.Timeout = "emqx", 28083, 9, time.Second, time.Second
	if fmt.Sprint(w.Announcement) != fmt.Sprint(want) || w.ask != "10.0.0.5:28083" {
		t.Errorf("%+v\nwant\n%+v", w, want)
	}
	facts := withContainer(map[string]string{"send_proxy": "on"}, strings.Repeat("ü", 100))
	if facts["container"] != strings.Repeat("ü", 64) || facts["send_proxy"] != "on" {
		t.Errorf("%v", facts)
	}
}

func TestContainersAreCountedByHowTheyStand(t *testing.T) {
	for want, c := range map[string]admin.Container{
		"announced": {Offers: 1, Wrong: true}, "waiting": {Reason: "it has stopped"}, "wrong": {Wrong: true},
	} {
		if got := stateOf(c); got != want {
			t.Errorf("%+v is %s, want %s", c, got, want)
		}
	}
}
