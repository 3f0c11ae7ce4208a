package hook

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// request is what EMQX sends for a hook: all the fields that it fills, in their order.
func request(h Hook) []byte {
	f := h.facts()
	who := submessage(1, text(1, "emqx@subject"), text(2, "device-7"), text(3, "alice"), text(4, "secret"), text(5, "10.0.0.9"), number(6, 1883),
		text(7, "mqtt"), number(10, 1), number(13, 40001))
	msg := submessage(max(1, f.message), text(1, "emqx@subject"), text(2, "0005F"), number(3, 1), text(4, "device-1"), text(5, "site/1/temp"),
		text(6, "payload"), number(7, 1700000000000), submessage(8, text(1, "protocol"), text(2, "mqtt")), submessage(8, text(1, "username"), text(2, "bob")))
	meta := submessage(f.meta, text(1, "emqx@meta"), text(2, "5.8.9"), text(3, "EMQX"), text(4, "emqxcl"))
	var b []byte
	switch {
	case f.subject == client:
		b = append(b, who...)
		if f.message != 0 {
			b = append(b, msg...)
		}
	case f.subject == message:
		b = append(b, msg...)
	case h == ProviderLoaded:
		b = append(b, submessage(1, text(1, "5.8.9"), text(2, "EMQX"), number(3, 12345), text(4, "2026-01-01"))...)
	}
	return append(b, meta...)
}

func TestScanReadsClientUsernameTopicAndNodeOfEveryCall(t *testing.T) {
	for v := V1; v <= V3; v++ {
		for h := ProviderLoaded; h < hookCount; h++ {
			got, ok := Scan(Method{v, h}, request(h))
			id, username, topic := "device-7", "alice", ""
			switch h {
			case ProviderLoaded, ProviderUnloaded:
				id, username = "", ""
			case MessagePublish, MessageDropped:
				id, username = "device-1", "bob"
			}
			if strings.HasPrefix(h.String(), "message.") {
				topic = "site/1/temp"
			}
			if !ok || string(got.ClientID) != id || string(got.Username) != username || string(got.Topic) != topic || string(got.Node) != "emqx@meta" {
				t.Errorf("%v %v: %v %q", v, h, ok, got)
			}
		}
	}
}

// Where EMQX's own files have the RequestMeta and the Message of a request.
func TestFieldsAreWhereEMQXPutsThem(t *testing.T) {
	meta := map[Hook]protowire.Number{
		ProviderLoaded: 2, ProviderUnloaded: 1, ClientConnect: 3, ClientConnack: 4, ClientConnected: 2, ClientDisconnected: 3, ClientAuthenticate: 3,
		ClientAuthorize: 5, ClientSubscribe: 4, ClientUnsubscribe: 4, SessionCreated: 2, SessionSubscribed: 4, SessionUnsubscribed: 3, SessionResumed: 2,
		SessionDiscarded: 2, SessionTakenover: 2, SessionTerminated: 3, MessagePublish: 2, MessageDelivered: 3, MessageAcked: 3, MessageDropped: 3,
	}
	messages := map[Hook]protowire.Number{MessagePublish: 1, MessageDropped: 1, MessageDelivered: 2, MessageAcked: 2}
	for h := ProviderLoaded; h < hookCount; h++ {
		for num := protowire.Number(1); num < 9; num++ {
			f, ok := Scan(Method{V2, h}, submessage(num, text(1, "node"), text(5, "topic")))
			isMessage := num == messages[h]
			isNode := num == meta[h] || num == 1 && meta[h] != 1 && h != ProviderLoaded
			if !ok || (string(f.Topic) == "topic") != isMessage || (string(f.Node) == "node") != isNode {
				t.Errorf("%v, field %d: %q", h, num, f)
			}
		}
	}
}

func TestScanTakesTheNodeFromTheSubjectWhenThereIsNoMeta(t *testing.T) {
	for h := ClientConnect; h < hookCount; h++ {
		whole := request(h)
		var short []byte
		for b := whole; len(b) > 0; {
			f, rest, _ := next(b)
			if f.num != h.facts().meta {
				short = append(short, f.raw...)
			}
			b = rest
		}
		if got, ok := Scan(Method{V1, h}, short); !ok || string(got.Node) != "emqx@subject" {
			t.Errorf("%v: %v %q", h, ok, got.Node)
		}
	}
}

func TestScanTakesTheLastOfFieldsThatRepeatAndJoinsMessagesThatDo(t *testing.T) {
	b := slices.Concat(
		submessage(1, text(1, "n"), text(2, "first"), text(2, "second"), text(3, "alice")),
		submessage(1, text(2, "third")),
		number(2, 1), protowire.AppendFixed64(protowire.AppendTag(nil, 9, protowire.Fixed64Type), 1),
		protowire.AppendTag(nil, 77, protowire.StartGroupType), text(1, "in a group"), protowire.AppendTag(nil, 77, protowire.EndGroupType),
		submessage(3, text(1, "a")), submessage(3, text(1, "b")))
	got, ok := Scan(Method{V2, ClientAuthenticate}, b)
	if !ok || string(got.ClientID) != "third" || string(got.Username) != "alice" || string(got.Node) != "b" {
		t.Errorf("%v %q", ok, got)
	}
}

func TestScanRefusesWhatIsCutShortAnywhereThatItReads(t *testing.T) {
	whole := request(MessageDelivered)
	var ends []int // where a field ends, a shorter request is a request
	for at, b := 0, whole; len(b) > 0; {
		f, rest, _ := next(b)
		at += len(f.raw)
		ends, b = append(ends, at), rest
	}
	for n := 1; n < len(whole); n++ {
		if _, ok := Scan(Method{V3, MessageDelivered}, whole[:n]); ok != slices.Contains(ends, n) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), ok)
		}
	}
	if _, ok := Scan(Method{V3, None}, nil); ok {
		t.Error("an unknown method was scanned")
	}
	if _, ok := Scan(Method{V3, hookCount + 9}, nil); ok {
		t.Error("a method beyond the last was scanned")
	}
	for _, b := range [][]byte{{0x02, 0x00}, {0x00, 0x00}, protowire.AppendVarint(protowire.AppendVarint(nil, uint64(protowire.MaxValidNumber+1)<<3), 1)} {
		if _, ok := Scan(Method{V3, ClientConnect}, b); ok {
			t.Errorf("a field with a number that cannot be was scanned: %x", b)
		}
	}
	deep := bytes.Repeat(protowire.AppendTag(nil, 5, protowire.StartGroupType), 100_000)
	if _, ok := Scan(Method{V3, ClientConnect}, deep); ok {
		t.Error("groups without end were scanned")
	}
}

func FuzzScanAgreesWithProtobuf(f *testing.F) {
	for h := ProviderLoaded; h < hookCount; h++ {
		f.Add(uint8(h), request(h))
	}
	f.Add(uint8(ClientConnect), slices.Concat(request(ClientConnect), number(1, 5), submessage(1, text(2, "again"), number(2, 4))))
	f.Add(uint8(MessageAcked), []byte{0x0b, 0x0c})
	f.Add(uint8(MessagePublish), submessage(1, submessage(8, text(1, "username")), submessage(8, number(1, 3), text(2, "x"))))
	named := reference(f)
	f.Fuzz(func(t *testing.T, number uint8, b []byte) {
		h := Hook(number)
		if h == None || h >= hookCount {
			return
		}
		got, ok := Scan(Method{V3, h}, b)
		m := named(h.facts().rpc)
		err := proto.Unmarshal(b, m)
		if ok != (err == nil) {
			t.Fatalf("%v: ok is %v, protobuf says %v", h, ok, err)
		}
		if !ok {
			return
		}
		want := Fields{Node: []byte(bytesOf(m, "meta", "node"))}
		subject := protoreflect.Name("who")
		want.Topic = []byte(bytesOf(m, "message", "topic"))
		want.Username = []byte(bytesOf(m, "who", "username"))
		if h.facts().subject == message {
			subject = "message"
			want.Username = []byte(headerOf(m, "username"))
		}
		want.ClientID = []byte(bytesOf(m, subject, "id"))
		if len(want.Node) == 0 {
			want.Node = []byte(bytesOf(m, subject, "node"))
		}
		for _, p := range [][2][]byte{{got.ClientID, want.ClientID}, {got.Username, want.Username}, {got.Topic, want.Topic}, {got.Node, want.Node}} {
			if !bytes.Equal(p[0], p[1]) {
				t.Fatalf("%v: %q, protobuf says %q", h, got, want)
			}
		}
	})
}

// headerOf reads a map written as the repeated entries that it is on the wire.
func headerOf(m protoreflect.Message, key string) string {
	fields := m.Descriptor().Fields()
	msg := m.Get(fields.ByName("message")).Message()
	entries := msg.Get(msg.Descriptor().Fields().ByName("headers")).List()
	value := ""
	for i := range entries.Len() {
		if e := entries.Get(i).Message(); bytesOf(e, "key") == key {
			value = bytesOf(e, "value")
		}
	}
	return value
}

func TestScanAndRoutingAllocateNothing(t *testing.T) {
	body := request(MessageDelivered)
	path := "/emqx.exhook.v3.HookProvider/OnMessageDelivered"
	interest := NewInterest(V3, []Spec{{Name: "message.delivered", Topics: []string{"a/b", "site/+/hum", "site/+/temp", "x/#"}}})
	if n := testing.AllocsPerRun(100, func() {
		m, ok := ParseMethod(path)
		f, scanned := Scan(m, body)
		to, _ := m.In(V2)
		if !ok || !scanned || !interest.Wants(m.Hook, f.Topic) || to.Path() == "" {
			t.Error("not routed")
		}
	}); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkScan(b *testing.B) {
	for _, h := range []Hook{ClientAuthenticate, MessagePublish, MessageDelivered} {
		b.Run(h.String(), func(b *testing.B) {
			body := request(h)
			b.ReportAllocs()
			for b.Loop() {
				Scan(Method{V3, h}, body)
			}
		})
	}
}

func BenchmarkParseMethod(b *testing.B) {
	for b.Loop() {
		ParseMethod("/emqx.exhook.v3.HookProvider/OnMessageDelivered")
	}
}
