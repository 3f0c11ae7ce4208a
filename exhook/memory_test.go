package exhook

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/exhook/hook"
)

// A provider that was never heard may be the one that wants the hook.
func TestWhatAProviderThatWasNeverHeardMayWantIsAFailureAndNotNeutral(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRigAt(t, setup{}, a.addr, closedPort(t))
	r.mustLoad(node1)
	_, err := r.call(hook.ClientAuthenticate, "c", "")
	wantCode(t, err, codes.Unavailable)
	r.endpoints(a.addr)
	eventually(t, "neutral once it has left", func() bool {
		reply, err := r.call(hook.ClientAuthenticate, "c", "")
		return err == nil && string(reply) == "\x08\x01"
	})
}

func TestWhatIsRememberedTellsWhatAProviderThatIsDownWants(t *testing.T) {
	s := setup{settings: Settings{Hooks: &Hooks{StateFile: filepath.Join(t.TempDir(), "exhook.json")}}}
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.authorize")
	r := aRig(t, s, a, b)
	r.mustLoad(node1)
	r.stop()
	b.kill()

	r = aRig(t, s, a, b)
	r.mustCall(hook.ClientConnected, "c", "")
	_, err := r.call(hook.ClientAuthorize, "c", "")
	wantCode(t, err, codes.Unavailable)
	if reply := r.mustCall(hook.SessionCreated, "c", ""); len(reply) != 0 {
		t.Errorf("%x", reply)
	}
}

func TestConfiguredHooksAreAlwaysPartOfTheAnswer(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{Configured: specs("message.publish a/#")}}}, a)
	got, err := r.load(hook.V2, node1)
	if err != nil || shown(got) != "[client.connected message.publish a/#]" {
		t.Fatal(got, err)
	}
	eventually(t, "reported as served by nobody", func() bool {
		d := r.u.Status().Drift
		return len(d) == 1 && len(d[0].Unknown) == 0 && fmt.Sprint(d[0].Unserved) == "[message.publish (a/#)]"
	})
	if n := r.u.Stats().Drift; n != 0 {
		t.Errorf("drift %d", n)
	}
}

func TestNamesThatEMQXDoesNotKnowAreLeftOutAndReported(t *testing.T) {
	a := aProvider(t, "client.connected", "client.conected")
	r := aRig(t, setup{}, a)
	got, err := r.load(hook.V2, node1)
	if err != nil || shown(got) != "[client.connected]" {
		t.Fatal(got, err)
	}
	eventually(t, "a word in the log", func() bool { return strings.Contains(r.log.String(), `did you mean \"client.connected\"`) })
}

func TestAReloadThatChangesTheVersionHasProvidersHearEverythingAgain(t *testing.T) {
	a := aProvider(t, "client.connected")
	var paths []string
	a.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		paths = append(paths, h.path)
		return nil, nil
	})
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	r.u.Configure(Settings{Dial: r.net.dial, Hooks: &Hooks{CallAs: hook.V3}})
	r.mustCall(hook.ClientConnected, "c", "")
	a.mu.Lock()
	defer a.mu.Unlock()
	want := "[/emqx.exhook.v2.HookProvider/OnProviderLoaded /emqx.exhook.v3.HookProvider/OnProviderLoaded /emqx.exhook.v3.HookProvider/OnClientConnected]"
	if fmt.Sprint(paths) != want {
		t.Errorf("called: %v", paths)
	}
}

func TestCallsAreCountedByNodeUpToAPoint(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	path := hook.Method{Version: hook.V2, Hook: hook.ClientConnected}.Path()
	for i := range mostNodeStats + 6 {
		if _, err := r.invoke(path, request(hook.ClientConnected, "c", "", fmt.Sprint("emqx@", i))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all counted", func() bool {
		n := r.u.Stats().Nodes
		return len(n) == mostNodeStats+1 && n["emqx@0"] == 1 && n["other"] == 6
	})
}

func TestNodesBeyondTheBoundAreServed(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	path := hook.Method{Version: hook.V2, Hook: hook.ClientConnected}.Path()
	for i := range mostNodes + 5 {
		if _, err := r.invoke(path, request(hook.ClientConnected, "c", "", fmt.Sprint("emqx@", i))); err != nil {
			t.Fatal(i, err)
		}
	}
	t.Log("a node that loads makes room for itself")
	r.mustLoad("emqx@new")
	eventually(t, "at the bound", func() bool { return len(r.u.Status().Nodes) == mostNodes })
}

func TestAnUpgradedNodeIsKnownInItsNewVersionOnly(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	if _, err := r.load(hook.V3, node1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one node", func() bool {
		n := r.u.Status().Nodes
		return len(n) == 1 && n[0].Protocol == "emqx.exhook.v3"
	})
}
