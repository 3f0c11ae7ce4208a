package hook

import "strings"

const (
	pathPrefix = "/emqx.exhook.v"
	pathMiddle = ".HookProvider/"
)

// Method is an RPC of one version.
type Method struct {
	Version Version
	Hook    Hook
}

// paths is never written to.
var paths = allPaths()

// ParseMethod reads the path of a gRPC request. When it is false, the version is still set if the path belongs to a version that is known: an RPC
// that only a newer EMQX has.
func ParseMethod(path string) (Method, bool) {
	rest, ok := strings.CutPrefix(path, pathPrefix)
	if !ok || rest == "" || rest[0] < '0'+byte(V1) || rest[0] > '0'+byte(V3) {
		return Method{}, false
	}
	v := Version(rest[0] - '0')
	rpc, ok := strings.CutPrefix(rest[1:], pathMiddle)
	if !ok {
		return Method{}, false
	}
	m := Method{v, parseRPC(v, rpc)}
	return m, m.Hook != None
}

// Path is the path of a gRPC request, "" for an unknown method.
func (m Method) Path() string {
	if m.Version > V3 || m.Hook >= hookCount {
		return ""
	}
	return paths[m.Version][m.Hook]
}

// RPC is the last part of the path.
func (m Method) RPC() string {
	if f := m.Hook.facts(); m.Version != V1 || f.rpcV1 == "" {
		return f.rpc
	}
	return m.Hook.facts().rpcV1
}

// In returns the method of another version whose requests and answers are the same bytes. Only v2 and v3 are so related: v3 adds the field
// user_props, which a provider of v2 skips, and which a provider of v3 finds empty when EMQX speaks v2; the user properties of MQTT are then
// missing, or in props as text. v1 has other messages, so for it there is none.
func (m Method) In(v Version) (Method, bool) {
	switch {
	case m.Hook == None || m.Hook >= hookCount:
	case v == m.Version, v == V2 && m.Version == V3, v == V3 && m.Version == V2:
		return Method{v, m.Hook}, true
	}
	return Method{}, false
}

func parseRPC(v Version, rpc string) Hook {
	h, v1, others := None, true, true
	switch rpc {
	case "OnProviderLoaded":
		h = ProviderLoaded
	case "OnProviderUnloaded":
		h = ProviderUnloaded
	case "OnClientConnect":
		h = ClientConnect
	case "OnClientConnack":
		h = ClientConnack
	case "OnClientConnected":
		h = ClientConnected
	case "OnClientDisconnected":
		h = ClientDisconnected
	case "OnClientAuthenticate":
		h = ClientAuthenticate
	case "OnClientAuthorize":
		h, v1 = ClientAuthorize, false
	case "OnClientCheckAcl":
		h, others = ClientAuthorize, false
	case "OnClientSubscribe":
		h = ClientSubscribe
	case "OnClientUnsubscribe":
		h = ClientUnsubscribe
	case "OnSessionCreated":
		h = SessionCreated
	case "OnSessionSubscribed":
		h = SessionSubscribed
	case "OnSessionUnsubscribed":
		h = SessionUnsubscribed
	case "OnSessionResumed":
		h = SessionResumed
	case "OnSessionDiscarded":
		h = SessionDiscarded
	case "OnSessionTakenover":
		h, v1 = SessionTakenover, false
	case "OnSessionTakeovered":
		h, others = SessionTakenover, false
	case "OnSessionTerminated":
		h = SessionTerminated
	case "OnMessagePublish":
		h = MessagePublish
	case "OnMessageDelivered":
		h = MessageDelivered
	case "OnMessageAcked":
		h = MessageAcked
	case "OnMessageDropped":
		h = MessageDropped
	}
	if v == V1 && !v1 || v != V1 && !others {
		return None
	}
	return h
}

func allPaths() (all [V3 + 1][hookCount]string) {
	for v := V1; v <= V3; v++ {
		for h := ProviderLoaded; h < hookCount; h++ {
			all[v][h] = "/" + v.String() + pathMiddle + Method{v, h}.RPC()
		}
	}
	return all
}
