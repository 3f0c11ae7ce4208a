package hook

import (
	"strings"
	"testing"
)

// The RPCs and hooks of EMQX's own files, in v2 and v3; v1 differs in four words.
const rpcs = `OnClientConnect client.connect
OnClientConnack client.connack
OnClientConnected client.connected
OnClientDisconnected client.disconnected
OnClientAuthenticate client.authenticate
OnClientAuthorize client.authorize
OnClientSubscribe client.subscribe
OnClientUnsubscribe client.unsubscribe
OnSessionCreated session.created
OnSessionSubscribed session.subscribed
OnSessionUnsubscribed session.unsubscribed
OnSessionResumed session.resumed
OnSessionDiscarded session.discarded
OnSessionTakenover session.takenover
OnSessionTerminated session.terminated
OnMessagePublish message.publish
OnMessageDelivered message.delivered
OnMessageAcked message.acked
OnMessageDropped message.dropped`

func TestEveryMethodOfEveryVersionIsKnown(t *testing.T) {
	inV1 := strings.NewReplacer("OnClientAuthorize client.authorize", "OnClientCheckAcl client.check_acl",
		"OnSessionTakenover session.takenover", "OnSessionTakeovered session.takeovered").Replace(rpcs)
	for v, list := range map[Version]string{V1: inV1, V2: rpcs, V3: rpcs} {
		lines := strings.Split(list, "\n")
		if len(lines) != int(hookCount)-3 {
			t.Errorf("%d hooks in the list, %d known", len(lines), hookCount-3)
		}
		for _, line := range append(lines, "OnProviderLoaded -", "OnProviderUnloaded -") {
			rpc, name, _ := strings.Cut(line, " ")
			path := "/" + v.String() + ".HookProvider/" + rpc
			m, ok := ParseMethod(path)
			if !ok || m.Version != v || m.Path() != path || m.RPC() != rpc {
				t.Errorf("%s: %v %v, %s", path, m, ok, m.Path())
			}
			if name == "-" {
				if m.Hook.Class() != Loading {
					t.Errorf("%s is not loading", rpc)
				}
				continue
			}
			if h, ok := Named(v, name); !ok || h != m.Hook || h.Name(v) != name {
				t.Errorf("%v has %s as %v, %s as %v", v, rpc, m.Hook, name, h)
			}
		}
	}
}

func TestOtherPathsAreUnknown(t *testing.T) {
	for path, v := range map[string]Version{
		"": 0, "/": 0, "/emqx.exhook.v": 0, "/emqx.exhook.v3": 0, "/emqx.exhook.v0.HookProvider/OnClientConnect": 0,
		"/emqx.exhook.v4.HookProvider/OnClientConnect": 0, "/emqx.exhook.v33.HookProvider/OnClientConnect": 0,
		"/grpc.health.v1.Health/Check": 0, "emqx.exhook.v3.HookProvider/OnClientConnect": 0,
		"/emqx.exhook.v3.HookProvider/":                    V3,
		"/emqx.exhook.v3.HookProvider/OnClientConnect/":    V3,
		"/emqx.exhook.v3.HookProvider/OnMessageIngress":    V3,
		"/emqx.exhook.v1.HookProvider/OnClientAuthorize":   V1,
		"/emqx.exhook.v1.HookProvider/OnSessionTakenover":  V1,
		"/emqx.exhook.v2.HookProvider/OnClientCheckAcl":    V2,
		"/emqx.exhook.v3.HookProvider/OnSessionTakeovered": V3,
	} {
		if m, ok := ParseMethod(path); ok || m != (Method{Version: v}) {
			t.Errorf("%q: %v %v", path, m, ok)
		}
	}
}

func TestOnlyTheAnswersOfThreeHooksDecide(t *testing.T) {
	for h := ClientConnect; h < hookCount; h++ {
		want := h == ClientAuthenticate || h == ClientAuthorize || h == MessagePublish
		if h.Valued() != want || h.Class() == Deciding != want {
			t.Errorf("%v: %v %v", h, h.Valued(), h.Class())
		}
		if h.Topics() != strings.HasPrefix(h.String(), "message.") {
			t.Errorf("%v: topics %v", h, h.Topics())
		}
	}
}

func TestOnlyTheSecondAndThirdVersionAreTheSameBytes(t *testing.T) {
	for from := V1; from <= V3; from++ {
		for to := V1; to <= V3; to++ {
			m, ok := Method{from, SessionTakenover}.In(to)
			want := from == to || from != V1 && to != V1
			if ok != want || ok && m != (Method{to, SessionTakenover}) {
				t.Errorf("%v in %v: %v %v", from, to, m, ok)
			}
		}
	}
	if _, ok := (Method{V3, None}).In(V2); ok {
		t.Error("an unknown method went to another version")
	}
	if got := (Method{9, hookCount}).Path(); got != "" {
		t.Errorf("an unknown method has the path %s", got)
	}
}
