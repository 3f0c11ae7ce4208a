package hook

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func specs(lines ...string) []Spec {
	var list []Spec
	for _, line := range lines {
		words := strings.Fields(line)
		list = append(list, Spec{Name: words[0], Topics: slices.Clip(words[1:])})
		if len(words) == 1 {
			list[len(list)-1].Topics = nil
		}
	}
	return list
}

func TestAMergedAnswerIsTheUnionOfAll(t *testing.T) {
	got, notes := Merge(V2, []Answer{
		{"a", specs("message.publish b/# a/+", "client.authenticate", "message.acked x")},
		{"b", specs("message.publish a/+ c", "session.created", "message.acked")},
		{"c", nil},
	})
	want := specs("client.authenticate", "session.created", "message.publish a/+ b/# c", "message.acked")
	if !reflect.DeepEqual(got, want) || notes != nil {
		t.Errorf("got %v, want %v; notes %v", got, want, notes)
	}
}

func TestMergingDoesNotDependOnTheOrder(t *testing.T) {
	answers := []Answer{
		{"a", specs("message.publish b/# a/+", "client.authenticate")}, {"b", specs("message.dropped q", "message.publish z")},
		{"c", specs("client.connect", "message.dropped r q")}, {"d", specs("session.takenover", "client.connect")},
	}
	want, _ := Merge(V3, answers)
	for range 50 {
		rand.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
		for _, a := range answers {
			rand.Shuffle(len(a.Specs), func(i, j int) { a.Specs[i], a.Specs[j] = a.Specs[j], a.Specs[i] })
		}
		if got, _ := Merge(V3, answers); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, not %v", got, want)
		}
	}
}

func TestMergingLeavesTheAnswersAlone(t *testing.T) {
	a := []Answer{{"a", specs("message.publish z y x")}, {"b", specs("message.publish c b a")}}
	merged, _ := Merge(V2, a)
	merged[0].Topics[0] = "changed"
	if !reflect.DeepEqual(a, []Answer{{"a", specs("message.publish z y x")}, {"b", specs("message.publish c b a")}}) {
		t.Errorf("changed to %v", a)
	}
}

func TestOfOneAnswerTheFirstOfTwoSpecsCountsAndUnknownNamesAreLeftOut(t *testing.T) {
	got, notes := Merge(V2, []Answer{{"p", specs("message.publish a", "message.publish b", "client.check_acl", "client.autenticate", "nonsense", "client.connect t")}})
	if want := specs("client.connect", "message.publish a"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want := []Note{
		{"p", "message.publish", "registered twice: the first counts"},
		{"p", "client.check_acl", `emqx.exhook.v2 has no such hook: it is "client.authorize" there; left out, or EMQX would refuse all hooks`},
		{"p", "client.autenticate", `emqx.exhook.v2 has no such hook: did you mean "client.authenticate"?; left out, or EMQX would refuse all hooks`},
		{"p", "nonsense", `emqx.exhook.v2 has no such hook; left out, or EMQX would refuse all hooks`},
		{"p", "client.connect", "topics are for message hooks only: ignored"},
	}
	if !reflect.DeepEqual(notes, want) {
		t.Errorf("notes:\n%q\nwant:\n%q", notes, want)
	}
}

func TestTheFirstVersionHasItsOwnNames(t *testing.T) {
	got, notes := Merge(V1, []Answer{{"p", specs("session.takeovered", "client.check_acl", "client.authorize")}})
	if want := specs("client.check_acl", "session.takeovered"); !reflect.DeepEqual(got, want) || len(notes) != 1 {
		t.Errorf("got %v, notes %v", got, notes)
	}
}

func TestAnAnswerIsReadAsItWasWritten(t *testing.T) {
	want := specs("client.connect", "message.publish a/# b", "message.publish", "what.ever x")
	got, err := DecodeLoaded(AppendLoaded(nil, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := DecodeLoaded(nil); err != nil || got != nil {
		t.Errorf("of no bytes: %v %v", got, err)
	}
}

func TestAnAnswerBeyondAllMeasureIsRefused(t *testing.T) {
	many := make([]Spec, mostSpecs+1)
	topics := []Spec{{Name: "message.publish", Topics: make([]string, mostTopics+1)}}
	for _, b := range [][]byte{AppendLoaded(nil, many), AppendLoaded(nil, topics), submessage(1, text(1, "\xff")), {0x0a}, submessage(1, []byte{0x0a})} {
		if got, err := DecodeLoaded(b); err == nil {
			t.Errorf("%d specs of %d bytes were taken", len(got), len(b))
		}
	}
	if _, err := DecodeLoaded(AppendLoaded(nil, many[1:])); err != nil {
		t.Errorf("the most that is allowed was refused: %v", err)
	}
}

func FuzzAnswersAreReadAsProtobufDoesAndMergedForGood(f *testing.F) {
	f.Add(AppendLoaded(nil, specs("message.publish a/# b", "client.connect", "x", "message.publish")))
	f.Add([]byte{0x0a, 0x00, 0x12, 0x00})
	named := reference(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeLoaded(b)
		m := named("LoadedResponse")
		if invalid := proto.Unmarshal(b, m); err == nil && invalid != nil {
			t.Fatalf("protobuf says %v", invalid)
		}
		if err != nil {
			return
		}
		hooks := m.Get(m.Descriptor().Fields().ByName("hooks")).List()
		if hooks.Len() != len(got) {
			t.Fatalf("%d hooks, protobuf has %d", len(got), hooks.Len())
		}
		for i, s := range got {
			hook := hooks.Get(i).Message()
			topics := hook.Get(hook.Descriptor().Fields().ByName("topics")).List()
			if bytesOf(hook, "name") != s.Name || topics.Len() != len(s.Topics) {
				t.Fatalf("%q, protobuf has %v", s, hook)
			}
			for j, topic := range s.Topics {
				if string(topics.Get(j).Bytes()) != topic {
					t.Fatalf("topic %q, protobuf has %q", topic, topics.Get(j).Bytes())
				}
			}
		}
		once, _ := Merge(V2, []Answer{{"p", got}})
		again, notes := Merge(V2, []Answer{{"p", once}, {"q", once}})
		if !reflect.DeepEqual(once, again) || notes != nil {
			t.Fatalf("merged %v, and again %v %v", once, again, notes)
		}
		if drift := Compare(once, again); !reflect.DeepEqual(drift, Drift{}) {
			t.Fatalf("drift from itself: %v", drift)
		}
	})
}

func TestDriftIsWhatEMQXDoesNotKnowAndWhatNobodyServes(t *testing.T) {
	for _, c := range []struct {
		name                               string
		known, registered, unknown, unserv []Spec
	}{
		{"nothing", specs("client.connect", "message.publish a"), specs("client.connect", "message.publish a"), nil, nil},
		{"hooks", specs("client.connect"), specs("client.connack"), specs("client.connack"), specs("client.connect")},
		{"filters", specs("message.publish a b"), specs("message.publish b c"), specs("message.publish c"), specs("message.publish a")},
		{"a wider filter is known", specs("message.publish a/#"), specs("message.publish a/b"), nil, specs("message.publish a/#")},
		{"every topic is known", specs("message.publish"), specs("message.publish a"), nil, specs("message.publish")},
		{"every topic is registered", specs("message.publish a"), specs("message.publish"), specs("message.publish"), nil},
		{"the wildcard of $SYS is another", specs("message.publish #"), specs("message.publish $x/y"), specs("message.publish $x/y"), specs("message.publish #")},
	} {
		if got := Compare(c.known, c.registered); !reflect.DeepEqual(got, Drift{c.unknown, c.unserv}) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAProviderGetsWhatItRegisteredAndNoMore(t *testing.T) {
	i := NewInterest(V1, specs("message.publish a/#", "message.publish", "client.check_acl", "client.connect t", "client.authenticatd"))
	for h := None; h <= hookCount; h++ {
		want := h == ClientAuthorize || h == ClientConnect
		if got := i.Wants(h, []byte("b")); got != want {
			t.Errorf("%v: %v", h, got)
		}
	}
	if !i.Wants(MessagePublish, []byte("a/b")) {
		t.Error("a message it registered for does not reach it")
	}
	if (*Interest)(nil).Wants(ClientConnect, nil) || (&Interest{}).Wants(MessagePublish, nil) {
		t.Error("a provider that registered nothing is called")
	}
}
