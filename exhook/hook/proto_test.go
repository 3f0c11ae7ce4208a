package hook

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The example for authors of providers has no compiler to keep it true.
func TestTheExampleProtoAgreesWithWhatIsReadHere(t *testing.T) {
	file, err := os.ReadFile("../../docs/exhook.proto")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile(`//.*`).ReplaceAllString(string(file), "")
	fields := map[string]map[string]protowire.Number{}
	for _, m := range regexp.MustCompile(`(?s)message (\w+) \{([^\n]*\}|\n.*?\n\})\n`).FindAllStringSubmatch(source, -1) {
		fields[m[1]] = map[string]protowire.Number{}
		for _, f := range regexp.MustCompile(`(\w+) = (\d+);`).FindAllStringSubmatch(m[2], -1) {
			n, _ := strconv.Atoi(f[2])
			fields[m[1]][f[1]] = protowire.Number(n)
		}
	}
	calls := regexp.MustCompile(`rpc (\w+)\((\w+)\) returns \((\w+)\)`).FindAllStringSubmatch(source, -1)
	if len(calls) != int(hookCount)-1 {
		t.Errorf("%d calls, not %d", len(calls), hookCount-1)
	}
	for _, c := range calls {
		m, ok := ParseMethod("/emqx.exhook.v3.HookProvider/" + c[1])
		f, request := m.Hook.facts(), fields[c[2]]
		if !ok || request["meta"] != f.meta || request["message"] != f.message || m.Hook.Valued() != (c[3] == "ValuedResponse") ||
			(f.subject == client) != (request["clientinfo"]+request["conninfo"] == 1) {
			t.Errorf("%s: %v, fields %v, answer %s", c[1], ok, request, c[3])
		}
	}
	for name, want := range map[string]map[string]protowire.Number{
		"ClientInfo":     {"node": clientNode, "clientid": clientID, "username": clientUsername},
		"ConnInfo":       {"node": clientNode, "clientid": clientID, "username": clientUsername},
		"Message":        {"node": messageNode, "from": messageFrom, "topic": messageTopic, "headers": headers},
		"RequestMeta":    {"node": metaNode, "version": metaVersion, "sysdescr": metaDescr, "cluster_name": metaCluster},
		"BrokerInfo":     {"version": brokerVersion, "sysdescr": brokerDescr},
		"ValuedResponse": {"CONTINUE": goOn, "IGNORE": ignore, "STOP_AND_RETURN": stop, "type": 1, "bool_result": 3, "message": 4},
		"HookSpec":       {"name": 1, "topics": 2},
		"LoadedResponse": {"hooks": 1},
	} {
		for field, number := range want {
			if got, ok := fields[name][field]; !ok || got != number {
				t.Errorf("%s.%s is %d, not %d", name, field, got, number)
			}
		}
	}
}
