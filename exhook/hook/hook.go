package hook

import "google.golang.org/protobuf/encoding/protowire"

// Version is a package of the protocol. The zero value is none.
type Version uint8

const (
	V1 Version = 1 + iota // EMQX 4.3 and 4.4
	V2                    // EMQX 5.0 to 5.8
	V3                    // EMQX 5.9 and later
)

// Hook is one of the calls, whatever its name in a version. The zero value is none.
type Hook uint8

// In the order in which a merged answer names them.
const (
	None Hook = iota
	ProviderLoaded
	ProviderUnloaded
	ClientConnect
	ClientConnack
	ClientConnected
	ClientDisconnected
	ClientAuthenticate
	ClientAuthorize
	ClientSubscribe
	ClientUnsubscribe
	SessionCreated
	SessionSubscribed
	SessionUnsubscribed
	SessionResumed
	SessionDiscarded
	SessionTakenover
	SessionTerminated
	MessagePublish
	MessageDelivered
	MessageAcked
	MessageDropped

	hookCount
)

// Class is what EMQX does with the answer to a hook.
type Class uint8

const (
	Notifying Class = iota // nothing, though it waits for it
	Deciding               // it goes by it
	Loading                // it calls what the answer names
)

// subject is what field 1 of a request is about.
type subject uint8

const (
	nobody  subject = iota
	client          // ClientInfo or ConnInfo, alike in their first three fields
	message         // Message
)

// facts are what all versions agree on, and the two names that v1 has otherwise. message and meta are field numbers of the request, 0 for none.
type facts struct {
	name, rpc     string
	nameV1, rpcV1 string // where they differ
	class         Class
	subject       subject
	message, meta protowire.Number
}

// table is never written to.
var table = [hookCount]facts{
	ProviderLoaded:      {name: "provider.loaded", rpc: "OnProviderLoaded", class: Loading, meta: 2},
	ProviderUnloaded:    {name: "provider.unloaded", rpc: "OnProviderUnloaded", class: Loading, meta: 1},
	ClientConnect:       {name: "client.connect", rpc: "OnClientConnect", subject: client, meta: 3},
	ClientConnack:       {name: "client.connack", rpc: "OnClientConnack", subject: client, meta: 4},
	ClientConnected:     {name: "client.connected", rpc: "OnClientConnected", subject: client, meta: 2},
	ClientDisconnected:  {name: "client.disconnected", rpc: "OnClientDisconnected", subject: client, meta: 3},
	ClientAuthenticate:  {name: "client.authenticate", rpc: "OnClientAuthenticate", class: Deciding, subject: client, meta: 3},
	ClientAuthorize:     {name: "client.authorize", rpc: "OnClientAuthorize", nameV1: "client.check_acl", rpcV1: "OnClientCheckAcl", class: Deciding, subject: client, meta: 5},
	ClientSubscribe:     {name: "client.subscribe", rpc: "OnClientSubscribe", subject: client, meta: 4},
	ClientUnsubscribe:   {name: "client.unsubscribe", rpc: "OnClientUnsubscribe", subject: client, meta: 4},
	SessionCreated:      {name: "session.created", rpc: "OnSessionCreated", subject: client, meta: 2},
	SessionSubscribed:   {name: "session.subscribed", rpc: "OnSessionSubscribed", subject: client, meta: 4},
	SessionUnsubscribed: {name: "session.unsubscribed", rpc: "OnSessionUnsubscribed", subject: client, meta: 3},
	SessionResumed:      {name: "session.resumed", rpc: "OnSessionResumed", subject: client, meta: 2},
	SessionDiscarded:    {name: "session.discarded", rpc: "OnSessionDiscarded", subject: client, meta: 2},
	SessionTakenover:    {name: "session.takenover", rpc: "OnSessionTakenover", nameV1: "session.takeovered", rpcV1: "OnSessionTakeovered", subject: client, meta: 2},
	SessionTerminated:   {name: "session.terminated", rpc: "OnSessionTerminated", subject: client, meta: 3},
	MessagePublish:      {name: "message.publish", rpc: "OnMessagePublish", class: Deciding, subject: message, message: 1, meta: 2},
	MessageDelivered:    {name: "message.delivered", rpc: "OnMessageDelivered", subject: client, message: 2, meta: 3},
	MessageAcked:        {name: "message.acked", rpc: "OnMessageAcked", subject: client, message: 2, meta: 3},
	MessageDropped:      {name: "message.dropped", rpc: "OnMessageDropped", subject: message, message: 1, meta: 3},
}

// String is the protobuf package, as in "emqx.exhook.v2".
func (v Version) String() string {
	switch v {
	case V1:
		return "emqx.exhook.v1"
	case V2:
		return "emqx.exhook.v2"
	case V3:
		return "emqx.exhook.v3"
	}
	return "unknown"
}

// ParseVersion is the inverse of String.
func ParseVersion(text string) (Version, bool) {
	for v := V1; v <= V3; v++ {
		if text == v.String() {
			return v, true
		}
	}
	return 0, false
}

// Named finds a hook that providers can register, by its name in that version.
func Named(v Version, name string) (Hook, bool) {
	for h := ClientConnect; h < hookCount; h++ {
		if name == h.Name(v) {
			return h, true
		}
	}
	return None, false
}

// Name is the hook's name in that version: what EMQX calls it where providers register it.
func (h Hook) Name(v Version) string {
	if f := h.facts(); v != V1 || f.nameV1 == "" {
		return f.name
	}
	return h.facts().nameV1
}

// String is the name in the newest version.
func (h Hook) String() string {
	if h == None || h >= hookCount {
		return "unknown"
	}
	return h.facts().name
}

// Class tells what EMQX does with the answer.
func (h Hook) Class() Class { return h.facts().class }

// Topics reports whether a provider's topic filters apply to the hook.
func (h Hook) Topics() bool { return h.facts().message != 0 }

// Valued reports whether the answer is a ValuedResponse.
func (h Hook) Valued() bool { return h.Class() == Deciding }

func (h Hook) facts() *facts {
	if h >= hookCount {
		h = None
	}
	return &table[h]
}
