package configs

import (
	"slices"
	"strings"
	"testing"
)

func TestAKeyIsFoundByItsNamesInAFile(t *testing.T) {
	root := Keys()
	for text, want := range map[string]string{
		"upstreams.emqx.balance":                        "upstreams.NAME.balance",
		"upstreams.*.health.active.type":                "upstreams.NAME.health.active.type",
		"upstreams.NAME.endpoints[3].weight":            "upstreams.NAME.endpoints[].weight",
		"upstreams.NAME.endpoints[].weight":             "upstreams.NAME.endpoints[].weight",
		"upstreams.a.endpoints.weight":                  "upstreams.NAME.endpoints[].weight",
		`listeners."with.dots".tls.client_auth`:         "listeners.NAME.tls.client_auth",
		"listeners.mqtts.bind[0]":                       "listeners.NAME.bind",
		"listeners":                                     "listeners",
		"listeners.mqtts":                               "listeners",
		"gossip.announce[0].tags.zone":                  "",
		"gossip.announce[0].tags":                       "gossip.announce[].tags",
		"upstreams.h.exhook.on_failure.client":          "",
		"upstreams.h.exhook.on_failure.":                "upstreams.NAME.exhook.on_failure",
		"upstreams.h.exhook.on_failure.message.publish": "upstreams.NAME.exhook.on_failure.message.publish",
		"":                     "",
		"log.levels":           "",
		"upstreams.emqx[":      "upstreams",
		"upstreams..balance":   "upstreams.NAME.balance",
		"log.level.deep.still": "",
	} {
		k, err := root.Find(text)
		if found := err == nil && text != ""; found != (want != "") || k.Path != want {
			t.Errorf("%q is %q, %v", text, k.Path, err)
		}
	}
}

func TestAKeyThatIsNotThereIsGuessed(t *testing.T) {
	root := Keys()
	for text, want := range map[string]string{
		"listners":               `there is no key "listners": did you mean listeners?`,
		"upstreams.emqx.balanse": `there is no key "upstreams.emqx.balanse": did you mean upstreams.NAME.balance?`,
		"client_auth":            `there is no key "client_auth": did you mean listeners.NAME.tls.client_auth?`,
		"active.rise":            `there is no key "active.rise": did you mean upstreams.NAME.health.active.rise?`,
		"log.level.x":            `there is no key "log.level.x": log.level has none below it`,
		"drain.zzzzzzzz":         `there is no key "drain.zzzzzzzz": the keys of drain are delay, over or deadline`,
		"zzzzzzzzz":              `there is no key "zzzzzzzzz": the keys of the file are `,
	} {
		if _, err := root.Find(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	var paths []string
	root := Keys()
	for _, k := range root.All() {
		paths = append(paths, strings.ReplaceAll(k.Path, "NAME", "*"))
		if k.Text == "" || k.Value == "" || k.Since == "" || k.Required == (k.Default != "") && len(k.Keys) == 0 && k.Path != "gossip.announce[].tags" {
			t.Errorf("%s: %+v", k.Path, k)
		}
		if found, err := root.Find(k.Path); err != nil || found.Path != k.Path {
			t.Errorf("%s is found as %s, %v", k.Path, found.Path, err)
		}
	}
	for _, path := range schemaPaths() {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is missing", path)
		}
	}
}

func TestWhatMayBeWrittenHasItsUnitAndItsBounds(t *testing.T) {
	root := Keys()
	for path, want := range map[string]string{
		"listeners.NAME.tcp.keepalive":         "a duration such as 5s or 1m30s, at most 9h",
		"listeners.NAME.mqtt.max_connect_size": "a number of bytes, or one with KiB, MiB or GiB, from 128 to 16MiB",
		"upstreams.NAME.endpoints[].weight":    "a whole number, from 1 to 65535",
		"listeners.NAME.tls.max_version":       `"", 1.0, 1.1, 1.2 or 1.3`,
		"listeners.NAME.bind":                  "one or a list; each host:port",
		"listeners.NAME.allow":                 "a list; each an address or a range such as 10.0.0.0/8",
		"listeners.NAME.tls":                   "a section, off unless it is there",
		"upstreams.NAME.endpoints":             "a list of sections",
		"upstreams":                            "sections by names of your choice",
		"gossip.announce[].tags":               "texts by names of your choice",
	} {
		if k, err := root.Find(path); err != nil || k.Value != want {
			t.Errorf("%s is %s, %v, want %s", path, k.Value, err, want)
		}
	}
}

// FuzzFind looks for paths that end the program.
func FuzzFind(f *testing.F) {
	root := Keys()
	for _, text := range []string{"", "upstreams.a.endpoints[0].weight", `listeners."a.b`, "[.[]", "log..level", "upstreams.[x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := root.Find(text); err != nil && (k.Path != "" || strings.ContainsAny(err.Error(), "\n\r\x1b")) {
			t.Errorf("%q: %q, %v", text, k.Path, err)
		}
	})
}
