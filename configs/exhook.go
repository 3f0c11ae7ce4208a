package configs

import "time"

// ExHook makes an upstream aware of what EMQX's hooks mean.
type ExHook struct {
	Hooks         []HookSpec    `yaml:"hooks"`
	StateFile     string        `yaml:"state_file" kind:"file"` // "": none
	Timeout       time.Duration `yaml:"timeout"`                // 0: what the caller leaves, less a margin
	Retries       int           `yaml:"retries" min:"0" max:"10"`
	HedgeAfter    time.Duration `yaml:"hedge_after"` // 0: never
	OnFailure     OnFailure     `yaml:"on_failure"`
	EarlyAck      []string      `yaml:"early_ack" kind:"notification"`
	EarlyAckQueue int           `yaml:"early_ack_queue" min:"1" max:"10000000"`
	CallAs        string        `yaml:"call_as" one_of:"- v2 v3"` // "": as EMQX calls
	InFlight      InFlight      `yaml:"in_flight"`
}

// HookSpec is a hook that EMQX is told to call.
type HookSpec struct {
	Name   string   `yaml:"name" kind:"hook" required:"write the name of a hook, such as client.authenticate"`
	Topics []string `yaml:"topics"` // of message hooks; empty: all
}

// OnFailure is what EMQX is answered in place of all providers.
type OnFailure struct {
	Authenticate string `yaml:"client.authenticate" one_of:"error ignore deny allow"`
	Authorize    string `yaml:"client.authorize" one_of:"error ignore deny allow"`
	Publish      string `yaml:"message.publish" one_of:"error ignore deny"`
}

// InFlight is how many calls of each class one provider gets at once.
type InFlight struct {
	Deciding  int `yaml:"deciding" min:"1" max:"100000"`
	Publish   int `yaml:"publish" min:"1" max:"100000"`
	Notifying int `yaml:"notifying" min:"1" max:"100000"`
}

// DefaultExHook returns an exhook section in which nothing is written.
func DefaultExHook() ExHook {
	return ExHook{
		Retries:       1,
		OnFailure:     OnFailure{Authenticate: "error", Authorize: "error", Publish: "error"},
		EarlyAckQueue: 65536,
		InFlight:      InFlight{Deciding: 1024, Publish: 512, Notifying: 512},
	}
}

// DecidingHooks and NotificationHooks are the names that providers register, as EMQX 5 and 6 have them.
func DecidingHooks() []string {
	return []string{"client.authenticate", "client.authorize", "message.publish"}
}

// NotificationHooks are those whose answer EMQX does not act on.
func NotificationHooks() []string {
	return []string{
		"client.connect", "client.connack", "client.connected", "client.disconnected", "client.subscribe", "client.unsubscribe",
		"session.created", "session.subscribed", "session.unsubscribed", "session.resumed", "session.discarded",
		"session.takenover", "session.terminated", "message.delivered", "message.dropped", "message.acked",
	}
}
