package hook

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func loaded(node, version string) []byte {
	return slices.Concat(submessage(1, text(1, version), text(2, "EMQX"), number(3, 77), text(4, "2026-01-01")),
		submessage(2, text(1, node), text(2, version), text(3, "EMQX"), text(4, "emqxcl")))
}

func TestWhatANodeSaysOfItselfIsRead(t *testing.T) {
	want := Broker{Node: "emqx@a", Version: "5.8.9", Cluster: "emqxcl", Description: "EMQX"}
	if got, ok := ParseLoaded(loaded("emqx@a", "5.8.9")); !ok || got != want {
		t.Errorf("%v %+v", ok, got)
	}
	old := submessage(1, text(1, "4.3.2"), text(2, "EMQ X"), text(3, "1 hours"), text(4, "2021-06-01")) // uptime is text in v1, and there is no meta
	if got, ok := ParseLoaded(old); !ok || got != (Broker{Version: "4.3.2", Description: "EMQ X"}) {
		t.Errorf("%v %+v", ok, got)
	}
	if got, ok := ParseLoaded(submessage(2, text(1, "n"), text(2, "6.0.0"), text(3, "E"))); !ok || got.Version != "6.0.0" || got.Description != "E" {
		t.Errorf("%v %+v", ok, got)
	}
	for _, b := range [][]byte{{0x0a}, submessage(2, []byte{0x0a}), submessage(2, text(1, strings.Repeat("n", mostFieldOfABroker+1))), text(9, strings.Repeat("x", mostLoadedRequest))} {
		if _, ok := ParseLoaded(b); ok {
			t.Errorf("%d bytes were taken", len(b))
		}
	}
}

func TestARequestMadeOfWhatIsKnownReadsBack(t *testing.T) {
	for _, b := range []Broker{{Node: "emqx@a", Version: "5.8.9", Cluster: "c", Description: "EMQX"}, {Node: "emqx@a"}, {}} {
		if got, ok := ParseLoaded(AppendLoadedRequest(nil, b)); !ok || got != b {
			t.Errorf("%v %+v, not %+v", ok, got, b)
		}
	}
}

func TestTheLastRequestOfEachNodeIsKept(t *testing.T) {
	var n Nodes
	first := loaded("emqx@a", "5.8.9")
	n.Loaded(V2, first)
	first[5] = 'x' // the caller's buffer goes on
	n.Loaded(V2, loaded("emqx@b", "5.8.9"))
	n.Loaded(V3, loaded("emqx@b", "6.0.0")) // upgraded
	n.Loaded(V2, loaded("emqx@c", "5.8.9"))
	n.Unloaded(submessage(1, text(1, "emqx@c"), text(4, "another cluster")))
	if _, ok := n.Loaded(V2, []byte{0x0a}); ok {
		t.Error("a malformed request was kept")
	}
	var got []string
	for _, l := range n.All() {
		got = append(got, fmt.Sprintf("%v %s %v", l.Version, l.Broker.Node, bytes.Equal(l.Request, loaded(l.Broker.Node, l.Broker.Version))))
	}
	want := []string{"emqx.exhook.v2 emqx@a true", "emqx.exhook.v3 emqx@b true", "emqx.exhook.v2 emqx@c true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	n.Unloaded(submessage(1, text(1, "emqx@c"), text(4, "emqxcl")))
	n.Unloaded([]byte{0x0a})
	if len(n.All()) != 2 {
		t.Errorf("%v", n.All())
	}
}

func TestTheNodesAreBounded(t *testing.T) {
	var n Nodes
	for i := range mostNodes + 5 {
		n.Loaded(V3, loaded(fmt.Sprint("emqx@", i), "6.0.0"))
	}
	all := n.All()
	if len(all) != mostNodes || all[0].Broker.Node != "emqx@5" {
		t.Errorf("%d nodes, the first %s", len(all), all[0].Broker.Node)
	}
}

func FuzzParseLoadedTakesOnlyProtobuf(f *testing.F) {
	f.Add(loaded("emqx@a", "5.8.9"))
	f.Add(protowire.AppendTag(nil, 1, protowire.StartGroupType))
	named := reference(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := ParseLoaded(b)
		if !ok {
			return
		}
		m := named("OnProviderLoaded")
		if err := proto.Unmarshal(b, m); err != nil || bytesOf(m, "meta", "node") != got.Node {
			t.Fatalf("%+v, protobuf says %v %v", got, m, err)
		}
		if again, ok := ParseLoaded(AppendLoadedRequest(nil, got)); !ok || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v became %+v", got, again)
		}
	})
}

func TestEveryRequestTellsWhoCalls(t *testing.T) {
	want := Broker{Node: "emqx@10.0.0.1", Version: "5.8.9", Cluster: "emqxcl", Description: "EMQX"}
	var meta []byte
	meta = appendText(meta, metaNode, want.Node)
	meta = appendText(meta, metaVersion, want.Version)
	meta = appendText(meta, metaDescr, want.Description)
	meta = appendText(meta, metaCluster, want.Cluster)
	for h := ProviderLoaded; h < hookCount; h++ {
		m := Method{V2, h}
		if got := Caller(m, appendText(nil, h.facts().meta, string(meta))); got != want {
			t.Errorf("%s: %+v", h, got)
		}
	}
	bare := appendText(nil, 1, string(appendText(nil, clientNode, "emqx@old")))
	if got := Caller(Method{V1, ClientConnected}, bare); got != (Broker{Node: "emqx@old"}) {
		t.Errorf("without meta: %+v", got)
	}
	for _, bad := range [][]byte{{0xff}, appendText(nil, 2, "\xff"), appendText(nil, 2, string(appendText(nil, metaNode, strings.Repeat("n", 2000))))} {
		if got := Caller(Method{V2, ClientConnected}, bad); got != (Broker{}) {
			t.Errorf("%x: %+v", bad, got)
		}
	}
}
