package edge

import (
	"slices"
	"testing"
	"time"

	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/exhook"
	"github.com/mqedge/mqedge/exhook/hook"
)

// configs may not import what knows the hooks, so the names stand there again.
func TestTheHooksOfTheConfigurationAreThoseThatAreKnown(t *testing.T) {
	for _, name := range configs.DecidingHooks() {
		if h, ok := hook.Named(hook.V3, name); !ok || h.Class() != hook.Deciding {
			t.Errorf("%s is %v, %v", name, h, ok)
		}
	}
	for _, name := range configs.NotificationHooks() {
		if h, ok := hook.Named(hook.V3, name); !ok || h.Class() != hook.Notifying {
			t.Errorf("%s is %v, %v", name, h, ok)
		}
	}
	known := slices.Concat(configs.DecidingHooks(), configs.NotificationHooks())
	for h := hook.Hook(1); h.String() != "unknown"; h++ {
		if c := h.Class(); (c == hook.Deciding || c == hook.Notifying) && !slices.Contains(known, h.String()) {
			t.Errorf("the configuration does not know %s", h)
		}
	}
}

func TestTheWordsOfExHookBecomeItsSettings(t *testing.T) {
	u, x := configs.DefaultUpstream(), configs.DefaultExHook()
	u.ExHook, u.HashMetadata, u.Tries = &x, "x-tenant", 4
	x.StateFile, x.Timeout, x.HedgeAfter, x.Retries, x.EarlyAckQueue = "/state", time.Second, time.Minute, 2, 9
	x.Hooks = []configs.HookSpec{{Name: "message.publish", Topics: []string{"a/#"}}}
	x.OnFailure = configs.OnFailure{Authenticate: "allow", Authorize: "ignore", Publish: "deny"}
	x.EarlyAck, x.CallAs = []string{"client.connected"}, "v2"
	x.InFlight = configs.InFlight{Deciding: 1, Publish: 2, Notifying: 3}
	s := callSettings(&u, func() *certs.ClientStore { return nil })
	h := s.Hooks
	if h.StateFile != "/state" || h.Timeout != time.Second || h.HedgeAfter != time.Minute || s.Retries != 2 || h.EarlyAckQueue != 9 ||
		h.Limits != (exhook.Limits{Deciding: 1, Publish: 2, Notifying: 3}) || h.CallAs != hook.V2 {
		t.Errorf("%+v %+v", s, h)
	}
	if !slices.EqualFunc(h.Configured, []hook.Spec{{Name: "message.publish", Topics: []string{"a/#"}}}, func(a, b hook.Spec) bool {
		return a.Name == b.Name && slices.Equal(a.Topics, b.Topics)
	}) || !slices.Equal(h.EarlyAck, []hook.Hook{hook.ClientConnected}) {
		t.Errorf("%+v", h)
	}
	for name, want := range map[hook.Hook]hook.Fallback{
		hook.ClientAuthenticate: hook.Allow, hook.ClientAuthorize: hook.Ignore, hook.MessagePublish: hook.Deny,
	} {
		if h.OnFailure[name] != want {
			t.Errorf("%s: %v", name, h.OnFailure[name])
		}
	}
	u.ExHook = nil
	if s := callSettings(&u, nil); s.Hooks != nil || s.HashHeader != "x-tenant" || s.Retries != 3 {
		t.Errorf("%+v", s)
	}
}
