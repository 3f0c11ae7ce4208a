package docker

import (
	"strings"
	"testing"
)

func emqx(image string, env ...string) details {
	var d details
	d.Config.Image, d.Config.Env = image, env
	return d
}

func TestThePortOfEMQXIsThatOfItsEnvironment(t *testing.T) {
	const five, four = "EMQX_LISTENERS__TCP__", "EMQX_LISTENER__TCP__"
	for name, c := range map[string]struct {
		d     details
		port  int
		proxy string
		ip    string
		err   string
	}{
		"its default":                           {emqx("emqx/emqx:5.8.9"), 1883, "", "", ""},
		"its default, of 4":                     {emqx("emqx/emqx:4.4.19"), 1883, "", "", ""},
		"a bind of 5":                           {emqx("emqx/emqx:5.8.9", five+`DEFAULT__BIND="0.0.0.0:2883"`), 2883, "", "", ""},
		"without quotes":                        {emqx("emqx/emqx-enterprise:6.2.2", five+`DEFAULT__BIND=0.0.0.0:2883`), 2883, "", "", ""},
		"a port alone":                          {emqx("emqx", five+`DEFAULT__BIND=2883`), 2883, "", "", ""},
		"with a colon":                          {emqx("emqx", five+`DEFAULT__BIND=":2883"`), 2883, "", "", ""},
		"IPv6":                                  {emqx("emqx", five+`DEFAULT__BIND="[::]:2883"`), 2883, "", "", ""},
		"IPv6 as Erlang writes it":              {emqx("emqx", five+`DEFAULT__BIND=:::2883`), 2883, "", "", ""},
		"an address of its own":                 {emqx("emqx", five+`DEFAULT__BIND=10.0.0.5:2883`), 2883, "", "10.0.0.5", ""},
		"lower case":                            {emqx("emqx", `EMQX_listeners__tcp__default__bind=2883`), 2883, "", "", ""},
		"an object":                             {emqx("emqx", five+`DEFAULT={bind = "0.0.0.0:2883", max_connections = 100, proxy_protocol=true}`), 2883, "on", "", ""},
		"an object as JSON":                     {emqx("emqx", five+`DEFAULT={"max_connections":1,"bind":"2883"}`), 2883, "", "", ""},
		"PROXY protocol on":                     {emqx("emqx", five+`DEFAULT__PROXY_PROTOCOL=true`), 1883, "on", "", ""},
		"PROXY protocol off":                    {emqx("emqx", five+`DEFAULT__PROXY_PROTOCOL=false`), 1883, "off", "", ""},
		"another listener in place of it":       {emqx("emqx", five+`DEFAULT__ENABLE=false`, five+`LAN__BIND=2884`), 2884, "", "", ""},
		"the default beside another":            {emqx("emqx", five+`A__BIND=2884`), 1883, "", "", ""},
		"another of which no port is known":     {emqx("emqx", five+`A__MAX_CONNECTIONS=5`), 1883, "", "", ""},
		"two in place of it":                    {emqx("emqx", five+`DEFAULT__ENABLED=false`, five+`A__BIND=1`, five+`B__BIND=2`), 0, "", "", "2 others are on: write the port at the label mqedge.port"},
		"none":                                  {emqx("emqx", five+`DEFAULT={enable=false}`), 0, "", "", "0 others are on"},
		"a bind of 4":                           {emqx("emqx/emqx:4.4.19", four+`EXTERNAL=0.0.0.0:2883`, four+`EXTERNAL__PROXY_PROTOCOL=on`, four+`INTERNAL=127.0.0.1:11884`), 2883, "on", "", ""},
		"a port of 4":                           {emqx("emqx/emqx-ee:v4.3.1", four+`EXTERNAL=2883`), 2883, "", "", ""},
		"variables of 5 mean nothing to 4":      {emqx("emqx/emqx:4.4.19", five+`DEFAULT__BIND=2883`), 1883, "", "", ""},
		"variables of 4 mean nothing to 5":      {emqx("emqx/emqx:5.8.9", four+`EXTERNAL=2883`), 1883, "", "", ""},
		"an image of one's own with EMQX 4":     {emqx("registry:5000/our/broker:7@sha256:00", four+`EXTERNAL=21871`), 21871, "", "", ""},
		"an image of one's own with EMQX 5":     {emqx("registry:5000/our/broker", five+`DEFAULT__BIND=21871`), 21871, "", "", ""},
		"latest with variables of 4":            {emqx("emqx/emqx:latest", four+`EXTERNAL=21871`), 21871, "", "", ""},
		"whole sections":                        {emqx("emqx", `EMQX_LISTENERS__TCP={default {bind = 2883}}`), 0, "", "", "EMQX_LISTENERS__TCP sets whole sections, which are not read here: write the port at the label mqedge.port"},
		"whole sections with the one that wins": {emqx("emqx", `EMQX_LISTENERS__TCP={a {bind = 1}}`, five+`DEFAULT__BIND=2883`), 2883, "", "", ""},
		"a bind that is none":                   {emqx("emqx", five+`DEFAULT__BIND=${PORT}`), 0, "", "", `EMQX_LISTENERS__TCP__DEFAULT__BIND=${PORT} is not understood: "${PORT}" is not a port`},
		"a bind beyond":                         {emqx("emqx", five+`DEFAULT__BIND=65536`), 0, "", "", "is not a port"},
		"a hook server whose image is named so": {emqx("emqx-exhook-server:0.0.1"), 0, "", "", "label mqedge.port is missing"},
		"another program":                       {emqx("nginx", "EMQX_HOST=10.0.0.5"), 0, "", "", "label mqedge.port is missing"},
	} {
		s, err := c.d.server(spec{service: "emqx"})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %+v, %v, want %s", name, s, err, c.err)
			}
			continue
		}
		ip := ""
		if s.ip.IsValid() {
			ip = s.ip.String()
		}
		if err != nil || s.port != c.port || s.sendProxy != c.proxy || ip != c.ip || s.check != "mqtt" {
			t.Errorf("%s: %+v, %v, want %d %q %q", name, s, err, c.port, c.proxy, c.ip)
		}
	}
	built := emqx("our/broker")
	built.Config.Cmd = []string{"/opt/emqx/bin/emqx", "foreground"}
	if s, err := built.server(spec{}); err != nil || s.port != 1883 {
		t.Errorf("an image built on EMQX's: %+v, %v", s, err)
	}
}

func TestALabelOfThePortWinsAndSaysWhichListenerItIs(t *testing.T) {
	d := emqx("emqx/emqx:5.8.9", "EMQX_LISTENERS__TCP__DEFAULT__BIND=2883", "EMQX_LISTENERS__TCP__LAN__BIND=10.0.0.5:2884", "EMQX_LISTENERS__TCP__LAN__PROXY_PROTOCOL=true")
	if s, err := d.server(spec{port: 2884}); err != nil || s.port != 2884 || s.sendProxy != "on" || s.ip.String() != "10.0.0.5" || s.check != "mqtt" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := d.server(spec{port: 8083}); err != nil || s.port != 8083 || s.sendProxy != "" || s.check != "tcp" {
		t.Errorf("a port that is perhaps of WebSocket: %+v, %v", s, err)
	}
}

func TestTheDashboardIsWhereTheEnvironmentPutsIt(t *testing.T) {
	for want, d := range map[int]details{
		18083: emqx("emqx"),
		28083: emqx("emqx", "EMQX_DASHBOARD__LISTENERS__HTTP__BIND=28083"),
		28084: emqx("emqx", `EMQX_DASHBOARD__LISTENERS__HTTP={bind = "0.0.0.0:28084"}`),
		8081:  emqx("emqx:4.4.1"),
		8181:  emqx("emqx:4.4.1", "EMQX_MANAGEMENT__LISTENER__HTTP=8181"),
	} {
		if got := d.dashboard(); got != want {
			t.Errorf("%v: %d, want %d", d.Config.Env, got, want)
		}
	}
}

func FuzzEMQXEnvironment(f *testing.F) {
	f.Add("emqx/emqx:5.8.9", "EMQX_LISTENERS__TCP__DEFAULT__BIND", `"0.0.0.0:2883"`)
	f.Add("emqx/emqx:4.4.19", "EMQX_LISTENER__TCP__EXTERNAL", "0.0.0.0:2883")
	f.Add("x:5", "EMQX_LISTENERS__TCP__DEFAULT", `{bind = "[::]:2883", enable = false}`)
	f.Add("a@b:c/d@", "EMQX_DASHBOARD__LISTENERS__HTTP__BIND", ":::1")
	f.Fuzz(func(t *testing.T, image, name, value string) {
		d := emqx(image, name+"="+value)
		s, err := d.server(spec{service: "a"})
		if err == nil && (s.port < 1 || s.port > 65535 || s.ip.IsValid() && s.ip.IsUnspecified()) {
			t.Errorf("%+v", s)
		}
		if p := d.dashboard(); p < 1 || p > 65535 {
			t.Errorf("dashboard at %d", p)
		}
	})
}
