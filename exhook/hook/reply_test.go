package hook

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestTheNeutralAnswerIsOneThatEMQXUnderstands(t *testing.T) {
	for h := ClientConnect; h < hookCount; h++ {
		got, ok := Neutral(h)
		want := []byte{}
		if h.Valued() {
			want = number(1, 1) // IGNORE
		}
		if !ok || got != string(want) {
			t.Errorf("%v: %x %v", h, got, ok)
		}
		for v := V1; v <= V3; v++ {
			if err := CheckReply(Method{v, h}, []byte(got)); err != nil {
				t.Errorf("%v of %v: %v", h, v, err)
			}
		}
	}
	for _, h := range []Hook{None, ProviderLoaded, hookCount} {
		if _, ok := Neutral(h); ok {
			t.Errorf("%v has a neutral answer", h)
		}
	}
}

func TestAFallbackSaysWhatTheOperatorChose(t *testing.T) {
	for _, c := range []struct {
		hook Hook
		word string
		want []byte // nil: none
	}{
		{ClientAuthenticate, "error", nil}, {ClientAuthenticate, "ignore", number(1, 1)},
		{ClientAuthenticate, "deny", slices.Concat(number(1, 2), number(3, 0))}, {ClientAuthenticate, "allow", number(3, 1)},
		{ClientAuthorize, "deny", slices.Concat(number(1, 2), number(3, 0))}, {ClientAuthorize, "allow", number(3, 1)},
		{MessagePublish, "ignore", number(1, 1)}, {MessagePublish, "error", nil},
		{SessionCreated, "ignore", []byte{}}, {SessionCreated, "error", nil},
	} {
		f, err := ParseFallback(c.hook, c.word)
		if err != nil {
			t.Errorf("%v %s: %v", c.hook, c.word, err)
		}
		got, ok := AppendFallback([]byte("x"), c.hook, f, request(c.hook))
		if ok != (c.want != nil) || string(got) != "x"+string(c.want) {
			t.Errorf("%v %s: %x %v", c.hook, c.word, got, ok)
		}
		if ok && CheckReply(Method{V3, c.hook}, got[1:]) != nil {
			t.Errorf("%v %s: it would be refused from a provider", c.hook, c.word)
		}
	}
	for h, words := range map[Hook][]string{MessagePublish: {"allow", ""}, SessionCreated: {"deny", "allow"}, ProviderLoaded: {"ignore"}, None: {"ignore"}, ClientAuthorize: {"Deny"}} {
		for _, word := range words {
			if _, err := ParseFallback(h, word); err == nil {
				t.Errorf("%v may be %q", h, word)
			}
		}
	}
	if _, ok := AppendFallback(nil, MessagePublish, Allow, request(MessagePublish)); ok {
		t.Error("a publish was allowed instead of ignored")
	}
	if _, err := ParseFallback(MessagePublish, "allow"); err.Error() != `"allow" is not error, ignore or deny for message.publish` {
		t.Error(err)
	}
}

func TestADeniedMessageComesBackWholeButForItsHeaders(t *testing.T) {
	entry := func(key, value string) []byte { return submessage(8, text(1, key), text(2, value)) }
	before := slices.Concat(text(1, "n"), number(3, 2), text(4, "c"), text(5, "t"), text(6, string(bytes.Repeat([]byte("p"), 70_000))), number(7, 1), text(99, "new"))
	b := submessage(1, before, entry("allow_publish", "true"), entry("username", "u"))
	got, ok := AppendFallback(nil, MessagePublish, Deny, slices.Concat(submessage(2, text(1, "node")), b))
	want := slices.Concat(number(1, 2), submessage(4, before, entry("allow_publish", "false")))
	if !ok || !bytes.Equal(got, want) {
		t.Errorf("%v, %d bytes instead of %d", ok, len(got), len(want))
	}
	if err := CheckReply(Method{V2, MessagePublish}, got); err != nil {
		t.Error(err)
	}
	for _, malformed := range [][]byte{nil, submessage(2, text(1, "node")), b[:len(b)-1], submessage(1, []byte{0x0a})} {
		if got, ok := AppendFallback([]byte("x"), MessagePublish, Deny, malformed); ok || string(got) != "x" {
			t.Errorf("%x was denied as %x", malformed, got)
		}
	}
}

func TestAnAnswerThatEMQXWouldNotActOnIsFound(t *testing.T) {
	msg := submessage(4, text(5, "t"))
	for _, c := range []struct {
		version Version
		hook    Hook
		reply   []byte
		want    error
	}{
		{V2, ClientAuthenticate, slices.Concat(number(1, 2), number(3, 1)), nil},
		{V2, ClientAuthenticate, number(3, 0), nil},
		{V2, ClientAuthenticate, number(1, 1), nil},
		{V2, ClientAuthenticate, slices.Concat(number(1, 1), msg), nil},
		{V2, ClientAuthenticate, nil, ErrNoValue},
		{V1, ClientAuthenticate, nil, nil},
		{V1, ClientAuthenticate, number(1, 2), ErrNoValue},
		{V1, ClientAuthenticate, msg, ErrNoValue},
		{V2, ClientAuthorize, number(1, 2), ErrNoValue},
		{V2, ClientAuthorize, slices.Concat(number(1, 2), msg), ErrNoValue},
		{V2, ClientAuthorize, slices.Concat(number(3, 1), msg), ErrNoValue}, // the last of a oneof counts
		{V2, ClientAuthorize, slices.Concat(msg, number(3, 1)), nil},
		{V2, ClientAuthorize, slices.Concat(number(1, 3), number(3, 1)), ErrType},
		{V2, ClientAuthorize, slices.Concat(number(1, 1<<63), number(3, 1)), nil}, // an enum has 32 bits
		{V2, ClientAuthorize, slices.Concat(number(1, 1<<32-1), number(3, 1)), ErrType},
		{V2, ClientAuthorize, []byte("<html>"), ErrMalformed},
		{V2, ClientAuthorize, text(3, "true"), ErrNoValue},
		{V3, MessagePublish, slices.Concat(number(1, 2), msg), nil},
		{V3, MessagePublish, slices.Concat(number(1, 2), submessage(4)), nil},
		{V3, MessagePublish, number(3, 1), ErrNoValue},
		{V3, MessagePublish, submessage(4, []byte{0x0a}), ErrMalformed},
		{V3, ClientConnect, nil, nil},
		{V3, ClientConnect, text(9, "of the future"), nil},
		{V3, ClientConnect, []byte{0x0a}, ErrMalformed},
		{V3, ProviderLoaded, AppendLoaded(nil, specs("a.b")), nil},
		{V3, ProviderLoaded, []byte{0x0a}, ErrMalformed},
	} {
		if got := CheckReply(Method{c.version, c.hook}, c.reply); !errors.Is(got, c.want) || c.want == nil && got != nil {
			t.Errorf("%v %v %x: %v, not %v", c.version, c.hook, c.reply, got, c.want)
		}
	}
}

func FuzzAnswersAreCheckedAsProtobufReadsThem(f *testing.F) {
	f.Add([]byte("\x08\x02\x18\x01"), true)
	f.Add([]byte("\x08\x01"), false)
	f.Add(submessage(4, text(5, "t")), false)
	f.Add(slices.Concat(number(1, 2), submessage(4, text(5, "t")), number(3, 1), submessage(4)), false)
	named := reference(f)
	f.Fuzz(func(t *testing.T, b []byte, boolean bool) {
		hook, member := MessagePublish, "message"
		if boolean {
			hook, member = ClientAuthorize, "bool_result"
		}
		m, want := named("ValuedResponse"), error(nil)
		err := proto.Unmarshal(b, m)
		fields := m.Descriptor().Fields()
		kind := m.Get(fields.ByName("type")).Int()
		set := m.WhichOneof(m.Descriptor().Oneofs().ByName("value"))
		switch {
		case err != nil:
			want = ErrMalformed
		case kind < 0 || kind > 2:
			want = ErrType
		case kind != ignore && (set == nil || string(set.Name()) != member):
			want = ErrNoValue
		}
		if got := CheckReply(Method{V3, hook}, b); got != want {
			t.Fatalf("%v, protobuf says %v", got, want)
		}
	})
}

func FuzzADeniedPublishIsAnAnswerThatEMQXTakes(f *testing.F) {
	f.Add(request(MessagePublish))
	f.Add(slices.Concat(request(MessagePublish), request(MessagePublish)))
	named := reference(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := AppendFallback(nil, MessagePublish, Deny, b)
		if !ok {
			return
		}
		if err := CheckReply(Method{V2, MessagePublish}, got); err != nil {
			t.Fatal(err)
		}
		asked := named("OnMessagePublish")
		if proto.Unmarshal(b, asked) != nil {
			return // a header's inside, or meta's, which are not looked at
		}
		f, _, _ := next(got[2:])
		answer := named("OnMessagePublish")
		if err := proto.Unmarshal(submessage(1, f.value), answer); err != nil {
			t.Fatal(err)
		}
		for _, part := range []protoreflect.Name{"topic", "payload", "id"} {
			if a, b := bytesOf(asked, "message", part), bytesOf(answer, "message", part); a != b {
				t.Fatalf("%s was %q and is %q", part, a, b)
			}
		}
		if headerOf(answer, "allow_publish") != "false" || headerOf(answer, "username") != "" {
			t.Fatalf("the headers are %v", answer)
		}
	})
}
