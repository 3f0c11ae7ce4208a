package hook

import (
	"reflect"
	"strings"
	"testing"
)

func TestMistakesInConfiguredHooksAreNamed(t *testing.T) {
	for _, c := range []struct {
		spec  Spec
		topic int
		want  string // "": none
	}{
		{Spec{Name: "client.authenticate"}, 0, ""},
		{Spec{Name: "client.check_acl"}, 0, ""},
		{Spec{"message.publish", []string{"a/#", "+/b", "$x/#", "#", "/"}}, 0, ""},
		{Spec{}, -1, "a hook needs a name, such as client.authenticate"},
		{Spec{Name: "client.autenticate"}, -1, `there is no hook "client.autenticate": did you mean "client.authenticate"?`},
		{Spec{Name: "OnClientAuthorize"}, -1, `there is no hook "OnClientAuthorize": did you mean "client.authorize"?`},
		{Spec{Name: "OnSessionTakeovered"}, -1, `there is no hook "OnSessionTakeovered": did you mean "session.takeovered"?`},
		{Spec{Name: "Message-Publish"}, -1, `there is no hook "Message-Publish": did you mean "message.publish"?`},
		{Spec{Name: "client.acl"}, -1, `there is no hook "client.acl": it is one of client.connect, client.connack, `},
		{Spec{Name: "provider.loaded"}, -1, `there is no hook "provider.loaded": it is one of`},
		{Spec{"client.connect", []string{"a"}}, -1, "topics are for the message hooks only: remove those of client.connect"},
		{Spec{"message.acked", []string{"a", ""}}, 1, "a topic filter cannot be empty: leave topics out for every topic"},
		{Spec{"message.acked", []string{"a/#/b"}}, 0, `"a/#/b": # can only be the last level`},
		{Spec{"message.acked", []string{"a/b#"}}, 0, `"a/b#": + and # stand for whole levels: write them between slashes`},
		{Spec{"message.acked", []string{"$share/g/t"}}, 0, `"$share/g/t" is for subscriptions`},
		{Spec{"message.acked", []string{"$SYS/#"}}, 0, `"$SYS/#" matches nothing`},
		{Spec{"message.acked", []string{"a\x00"}}, 0, "it has a NUL or is not UTF-8"},
		{Spec{"message.acked", []string{strings.Repeat("a", 65536)}}, 0, "the topic filter has 65536 bytes: MQTT allows 65535"},
	} {
		got := CheckSpecs([]Spec{c.spec})
		if c.want == "" {
			if got != nil {
				t.Errorf("%q: %v", c.spec, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Spec != 0 || got[0].Topic != c.topic || !strings.Contains(got[0].Text, c.want) {
			t.Errorf("%.40q: %+v", c.spec, got)
		}
	}
	got := CheckSpecs(specs("client.connect", "client.authorize", "client.check_acl"))
	if want := []Problem{{2, -1, "client.check_acl is in the list twice: put all its topics into one entry"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestConfiguredHooksTakeTheNamesOfTheVersionThatAsks(t *testing.T) {
	mixed := specs("session.takeovered", "message.publish b a b", "client.authorize")
	for v, want := range map[Version][]Spec{
		V1: specs("client.check_acl", "session.takeovered", "message.publish a b"),
		V2: specs("client.authorize", "session.takenover", "message.publish a b"),
		V3: specs("client.authorize", "session.takenover", "message.publish a b"),
	} {
		if got := Configured(v, mixed); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v", v, got)
		}
	}
}
