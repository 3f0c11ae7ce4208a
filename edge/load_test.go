package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHooksThatNoMessageCanBeForAreTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mqedge.yaml")
	const text = `listeners:
  hooks: {bind: "127.0.0.1:9000", protocol: grpc, upstream: "my hooks"}
upstreams:
  my hooks:
    endpoints: [{address: "10.0.0.1:9000"}]
    exhook:
      hooks:
        - {name: message.publish, topics: ["a/#/b", "a/+", "$SYS/#"]}
        - {name: client.connected, topics: [a]}
        - {name: message.publish}
        - {name: message.publis}
        - {topics: [a]}
        - name: message.dropped
          topics:
            - a/b
            - $share/group/a
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := Load(file)
	if c != nil {
		t.Error("it is loaded all the same")
	}
	var got []string
	for _, p := range problems {
		p.File = "f"
		got = append(got, strings.ReplaceAll(p.String(), `f:`, ""))
	}
	want := []string{
		`8:44: upstreams."my hooks".exhook.hooks[0].topics[0]: "a/#/b": # can only be the last level`,
		`8:60: upstreams."my hooks".exhook.hooks[0].topics[2]: "$SYS/#" matches nothing: EMQX never calls hooks for messages under $SYS/`,
		`9:11: upstreams."my hooks".exhook.hooks[1]: topics are for the message hooks only: remove those of client.connected`,
		`10:11: upstreams."my hooks".exhook.hooks[2]: message.publish is in the list twice: put all its topics into one entry`,
		`11:18: upstreams."my hooks".exhook.hooks[3].name: "message.publis" is not a hook: did you mean "message.publish"?`,
		`12:11: upstreams."my hooks".exhook.hooks[4].name: is missing: write the name of a hook, such as client.authenticate`,
		`16:15: upstreams."my hooks".exhook.hooks[5].topics[1]: "$share/group/a" is for subscriptions: hooks are about topics, so write what follows the group`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
