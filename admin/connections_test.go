package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestConnectionsAreFilteredAndBounded(t *testing.T) {
	p := &process{}
	addr := serve(t, p, loopback, "")
	got := ask(t, http.MethodGet, addr, "/api/v1/connections?client_id=a%20b%FF&listener=mqtts&upstream=emqx&endpoint=%5B::1%5D:1")
	if got.header.Get("X-More") != "" || got.header.Get("X-Total-Count") != "2" {
		t.Errorf("two of a thousand: %v", got.header)
	}
	got = ask(t, http.MethodGet, addr, "/api/v1/connections?limit=1")
	if got.header.Get("X-More") != "true" || got.header.Get("X-Total-Count") != "2" || strings.Contains(got.body, `"id":2`) {
		t.Errorf("a cut list does not say so: %v %s", got.header, got.body)
	}
	want := []ConnectionFilter{{ClientID: "a b\xff", Listener: "mqtts", Upstream: "emqx", Endpoint: "[::1]:1", Limit: 1000}, {Limit: 1}}
	if !reflect.DeepEqual(p.filters, want) {
		t.Errorf("asked for %+v", p.filters)
	}
	for _, limit := range []string{"0", "-1", "x", "1000001", "99999999999999999999"} {
		if got := ask(t, http.MethodGet, addr, "/api/v1/connections?limit="+limit); got.status != http.StatusBadRequest {
			t.Errorf("limit=%s: %d", limit, got.status)
		}
	}
}

func TestAListOfConnectionsIsJSONWhateverIsInIt(t *testing.T) {
	addr := serve(t, &process{}, loopback, "")
	for query, want := range map[string]int{"": 2, "?limit=1": 1, "?client_id=nobody": 0} {
		got := ask(t, http.MethodGet, addr, "/api/v1/connections"+query)
		var list []Connection
		if err := json.Unmarshal([]byte(got.body), &list); err != nil || list == nil || len(list) != want || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %v in %v %s", query, err, got.header, got.body)
		}
	}
}

func TestAFilterThatCannotFindAnythingIsAnError(t *testing.T) {
	addr := serve(t, &process{}, loopback, "")
	for query, want := range map[string]string{
		"client_id=nobody&listener=mqtt":              `there is no listener \"mqtt\": there are mqtts`,
		"client_id=nobody&listener=mqtts&upstream=qx": `there is no upstream \"qx\": there are emqx, none`,
	} {
		if got := ask(t, http.MethodGet, addr, "/api/v1/connections?"+query); got.status != http.StatusNotFound || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	// A reload took it away, and it has connections still.
	if got := ask(t, http.MethodGet, addr, "/api/v1/connections?listener=gone"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAClientIDSurvivesJSONWhateverItsBytes(t *testing.T) {
	for _, id := range []string{"", "dev-7", "ü<&>\u2028", "\xff", "a\x00b\xc3", "\ufffd"} {
		text, err := json.Marshal(Connection{ID: 7, ClientID: id})
		if err != nil {
			t.Fatal(err)
		}
		var back Connection
		if err := json.Unmarshal(text, &back); err != nil || back != (Connection{ID: 7, ClientID: id}) {
			t.Errorf("%q became %q by %s: %v", id, back.ClientID, text, err)
		}
	}
}

func TestAClientIsKickedByItsID(t *testing.T) {
	p := &process{}
	addr := serve(t, p, loopback, "")
	if got := ask(t, http.MethodDelete, addr, "/api/v1/connections?client_id=dev%2F7"); got.status != http.StatusOK || got.body != `{"kicked":2}`+"\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := ask(t, http.MethodDelete, addr, "/api/v1/connections"); got.status != http.StatusBadRequest {
		t.Errorf("without a client id: %d", got.status)
	}
	if !reflect.DeepEqual(p.kicked, []string{"dev/7"}) {
		t.Errorf("kicked %q", p.kicked)
	}
}

func TestTheClientListsAndKicksByTheBytesOfAnID(t *testing.T) {
	p := &process{}
	c := NewClient(serve(t, p, loopback, ""))
	ctx := context.Background()
	filter := ConnectionFilter{ClientID: "a/&\xff\n", Listener: "mqtts", Upstream: "emqx", Endpoint: "[::1]:1883", Limit: 1}
	list, err := c.Connections(ctx, filter)
	if err != nil || list.Total != 2 || len(list.Connections) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	list, err = c.Connections(ctx, ConnectionFilter{})
	if err != nil || len(list.Connections) != 2 || list.Connections[1].ClientID != "\xff<ü>" {
		t.Errorf("%+v %v", list, err)
	}
	if want := []ConnectionFilter{filter, {Limit: defaultConnections}}; !reflect.DeepEqual(p.filters, want) {
		t.Errorf("asked for %+v", p.filters)
	}
	if n, err := c.Kick(ctx, filter.ClientID); err != nil || n != 2 || p.kicked[0] != filter.ClientID {
		t.Errorf("%d %v %q", n, err, p.kicked)
	}
	if _, err := c.Connections(ctx, ConnectionFilter{ClientID: "nobody", Listener: "x"}); err == nil || err.Error() != `there is no listener "x": there are mqtts` {
		t.Errorf("%v", err)
	}
}
