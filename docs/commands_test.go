package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// sparing stands in the line above a block of which no command is run, with the reason: <!-- not run: wants a load balancer -->
var sparing = regexp.MustCompile(`^<!-- not run: (.*) -->$`)

// notRun are the commands that a test cannot run, by how they begin, and who does instead.
var notRun = map[string]string{
	"make demo":                 ".ci/run does",
	"make test":                 "this is part of it",
	"for i in 1 2 3; do docker": "likewise",
	"ssh ":                      "wants another host",
	"install mqedge":            "would replace a program of this host",
	"docker ":                   "no images are pulled here; .ci/image and .ci/compose run what they can",
	"sudo chown":                "wants to be root",
	"echo \"EMQX_COOKIE":        "belongs to a compose file: .ci/compose",
	"kubectl ":                  "wants a cluster; deploy/validate holds the manifests against Kubernetes' types",
	"for pod in $(kubectl":      "likewise",
	"python -m grpc_tools":      "wants grpcio-tools",
	"systemctl ":                "wants systemd",
	"ip address add 10.0.0.21":  "wants a network card called eth0",
}

// finds are commands that end with 1 when they found something to say, as they should.
var finds = []string{"mqedge doctor"}

// stays are commands in the foreground, which the reader ends with Ctrl-C.
var stays = []string{"mqedge run", "mosquitto_sub"}

// command is what stands behind a $ in the docs, lines that it goes on over included.
type command struct {
	page   string
	line   int
	text   string
	spared string // why it is not run
}

// commands are those of a page, in order.
func commands(t *testing.T, page string) []command {
	t.Helper()
	var found []command
	language, end, spared := "", "", ""
	lines := strings.Split(read(t, page), "\n")
	for i, line := range lines {
		last := len(found) - 1
		switch {
		case strings.HasPrefix(line, "```"):
			language, spared = strings.TrimPrefix(line, "```"), ""
			if m := sparing.FindStringSubmatch(lines[max(i-1, 0)]); m != nil {
				spared = m[1]
			}
		case end != "": // in a here-document
			found[last].text += "\n" + line
			if line == end {
				end = ""
			}
		case language == "console" && strings.HasPrefix(line, "$ "):
			found = append(found, command{page, i + 1, strings.TrimPrefix(line, "$ "), spared})
		case language == "sh" && line != "":
			found = append(found, command{page, i + 1, line, spared})
		case language == "console" && last >= 0 && strings.HasSuffix(found[last].text, "\\"):
			found[last].text += "\n" + line
		}
		if m := regexp.MustCompile(`<<'(\w+)'$`).FindStringSubmatch(line); m != nil && language == "console" {
			end = m[1]
		}
	}
	return found
}

// TestEveryCommandOfTheDocsRuns runs them word by word, page by page, on a host of their own: with its own network, processes and /etc, an EMQX
// on 1883 (a stand-in), and mqedge running with the README's configuration.
func TestEveryCommandOfTheDocsRuns(t *testing.T) {
	t.Parallel()
	tools(t)
	dir := t.TempDir()
	for _, program := range []string{"mqedge=../cmd/mqedge", "standin=../deploy/standin"} {
		name, source, _ := strings.Cut(program, "=")
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", name), source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	host(t, dir)
	var script strings.Builder
	script.WriteString(bed)
	var all []command
	for _, page := range pages(t) {
		begun := false
		for _, c := range commands(t, page) {
			if why := notRunBecause(c); why != "" {
				t.Logf("not run: %s:%d: $ %s (%s)", c.page, c.line, firstLine(c.text), why)
				continue
			}
			if !begun {
				begun = true
				fmt.Fprintf(&script, "page %q\n", page)
			}
			file := filepath.Join(dir, fmt.Sprintf("command-%d", len(all)))
			write(t, file, c.text+"\n")
			fmt.Fprintf(&script, "%s %s %d\n", how(c.text), file, len(all))
			all = append(all, c)
		}
	}
	results := play(t, dir, script.String())
	for i, c := range all {
		switch code, there := results[fmt.Sprint(i)]; {
		case !there:
			t.Errorf("%s:%d: $ %s\nwas not reached", c.page, c.line, c.text)
		case code == "0", code == "1" && how(c.text) == "look":
			t.Logf("ran: %s:%d: $ %s", c.page, c.line, firstLine(c.text))
		default:
			out, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("output-%d", i)))
			t.Errorf("%s:%d: $ %s\nended with %s:\n%s", c.page, c.line, c.text, code, out)
		}
	}
	if len(all) < 40 {
		t.Errorf("found only %d commands", len(all))
	}
}

func how(text string) string {
	begins := func(list []string) bool {
		return slices.ContainsFunc(list, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
	}
	switch {
	case begins(stays) || strings.Contains(text, "&& mqedge run"):
		return "stay"
	case begins(finds) || strings.Contains(text, "sudo mqedge doctor") || strings.Contains(text, "&& mqedge doctor"):
		return "look"
	}
	return "try"
}

func notRunBecause(c command) string {
	if c.spared != "" {
		return c.spared
	}
	for prefix, why := range notRun {
		if strings.HasPrefix(c.text, prefix) {
			return why
		}
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// tools ends the test where the host lacks something; on CI it has to be there.
func tools(t *testing.T) {
	t.Helper()
	missing := ""
	for _, name := range []string{"unshare", "ip", "openssl", "curl", "mosquitto_pub", "pidof"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = name + " is not installed"
		}
	}
	if out, err := exec.Command("unshare", isolated("true")...).CombinedOutput(); missing == "" && err != nil {
		missing = "a host of its own cannot be made: " + strings.TrimSpace(string(out))
	}
	if missing != "" && os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	if missing != "" {
		t.Skip("NOT TESTED: " + missing)
	}
}

func isolated(command ...string) []string {
	return append([]string{"--map-root-user", "--net", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"}, command...)
}

// host writes what the bed is made of: the README's configuration, nginx's and HAProxy's, and the examples.
func host(t *testing.T, dir string) {
	t.Helper()
	i := slices.IndexFunc(blocks(read(t, "../README.md"), "yaml"), func(b block) bool { return b.whole })
	config := blocks(read(t, "../README.md"), "yaml")[i].text
	write(t, filepath.Join(dir, "mqedge.yaml"), config+"access_log: {path: access.log}\ndrain: {over: 1s}\n")
	write(t, filepath.Join(dir, "nginx.conf"), blocks(read(t, "nginx.md"), "nginx")[0].text)
	write(t, filepath.Join(dir, "haproxy.cfg"), blocks(read(t, "from-haproxy.md"), "haproxy")[0].text)
	bundle, _ := material(t)
	write(t, filepath.Join(dir, "cert.pem"), string(bundle))
	if err := os.CopyFS(filepath.Join(dir, "configs", "examples"), os.DirFS("../configs/examples")); err != nil {
		t.Fatal(err)
	}
}

// bed is how a page finds the host: `page` begins one, `try`, `look` and `stay` run a command.
const bed = `
set -u
export HOME="$DIR" PATH="$DIR/bin:$PATH:/usr/sbin:/sbin"
ip link set lo up
cp -a /etc "$DIR/etc" 2>/dev/null
mount --bind "$DIR/etc" /etc
mkdir -p /etc/mqedge /etc/nginx/certs /etc/haproxy
cp "$DIR/haproxy.cfg" /etc/haproxy/haproxy.cfg
cp "$DIR/cert.pem" /etc/haproxy/both.pem
cp "$DIR/nginx.conf" /etc/nginx/nginx.conf
cp "$DIR/nginx.conf" /etc/nginx/tcpstream.conf
cp "$DIR/cert.pem" /etc/nginx/certs/cert.pem
cp "$DIR/cert.pem" /etc/nginx/certs/key.pem
mount -t tmpfs tmpfs /var/log
mkdir /var/log/nginx
mount -t tmpfs tmpfs /var/lib
mkdir /var/lib/mqedge
standin > "$DIR/standin.log" 2>&1 &
printf '#!/bin/sh\nexec "$@"\n' > "$DIR/bin/sudo" # who reads is root here already
chmod +x "$DIR/bin/sudo"

alive() { mqedge health --live >/dev/null 2>&1 || mqedge health --live --admin 127.0.0.1:9902 >/dev/null 2>&1; } # the agent's
answers() { for n in $(seq 200); do alive && return; sleep 0.05; done; }
here() { for n in $(seq 200); do mqedge connections 2>/dev/null | grep -q "$1" && return; sleep 0.05; done; }
gone() { for n in $(seq 200); do pidof mqedge >/dev/null || return; sleep 0.05; done; kill -9 $(pidof mqedge); }
end() { kill $(pidof mosquitto_sub) 2>/dev/null; kill -TERM $(pidof mqedge) 2>/dev/null; gone; }
serve() { mqedge run -c mqedge.yaml >> run.log 2>&1 & answers; mosquitto_sub -i dev-7 -h localhost -p 8884 --cafile cert.pem -t none >/dev/null 2>&1 & here dev-7; }

page() {
  end
  mkdir -p "$DIR/$(basename "$1")"; cd "$DIR/$(basename "$1")"
  printf secret > token
  case "$1" in
  ../README.md) ;;
  host-network.md) # an agent and an edge, side by side
    cp -r "$DIR/configs" .; mqedge keygen > gossip.keys
    cp configs/examples/host-network-agent.yaml agent.yaml
    mkdir certs; cp "$DIR/cert.pem" certs/cert.pem; cp "$DIR/cert.pem" certs/key.pem ;;
  *)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
      -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null
    cp "$DIR/mqedge.yaml" mqedge.yaml
    serve ;;
  esac
}
try() {
  case "$(cat "$1")" in
  *"kill -TERM"*) kill $(pidof mosquitto_sub) 2>/dev/null ;; # or the drain waits for it
  *dev-7*) here dev-7 ;;
  *"drain emqx"*) mqedge status --json | grep -q '"emqx"' || { end; cp "$DIR/mqedge.yaml" .; serve; } ;; # the page had imported nginx's
  esac
  timeout 30 bash -eo pipefail "$1" > "$DIR/output-$2" 2>&1 < /dev/null
  echo "$2 $?" >> "$DIR/results"
  case "$(cat "$1")" in *"kill -TERM"*) gone; serve ;; esac
}
look() { try "$@"; }
stay() {
  case "$(cat "$1")" in *"-c edge.yaml"*) ;; *"mqedge run"*) end ;; esac
  [ -f mqedge.yaml ] || cp "$DIR/mqedge.yaml" .
  bash -eo pipefail "$1" > "$DIR/output-$2" 2>&1 < /dev/null &
  local job=$!
  case "$(cat "$1")" in *"mqedge run"*) answers; alive ;; *) here mqtts; kill -0 $job ;; esac
  echo "$2 $?" >> "$DIR/results"
}
`

func play(t *testing.T, dir, script string) map[string]string {
	t.Helper()
	write(t, filepath.Join(dir, "script"), script+"end\ntrue\n")
	cmd := exec.Command("unshare", isolated("bash", filepath.Join(dir, "script"))...)
	cmd.Env = append(os.Environ(), "DIR="+dir)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%v\n%s", err, out)
	}
	results := make(map[string]string)
	text, _ := os.ReadFile(filepath.Join(dir, "results"))
	for line := range strings.Lines(string(text)) {
		number, code, _ := strings.Cut(strings.TrimSpace(line), " ")
		results[number] = code
	}
	return results
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
