package e2e

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/paho"
)

// TestDocker needs a Docker Engine, and is the one test that is skipped where there is none.
func TestDocker(t *testing.T) {
	t.Parallel()
	h := needDocker(t)
	t.Run("containers are served from their start to their end", h.startToEnd)
	t.Run("containers that do not work are left", h.unhealthy)
	t.Run("an Engine that is away changes nothing", h.engineAway)
	t.Run("a reload begins and ends it", h.reloaded)
}

// dockerSection is a gossip section for one more member, which announces containers.
func (c *cluster) dockerSection(docker string) string {
	return strings.Replace(c.section(""), "announce: []", "docker: "+docker, 1)
}

// freePort is one that nobody has on any address.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	defer l.Close()
	return portOf(t, l.Addr().String())
}

// serviceName is one that other runs of the tests on this Engine do not have.
func serviceName(number int) string { return fmt.Sprintf("test%d-%d", number, os.Getpid()) }

// launchWithoutEndpoints is for an edge that is not ready yet.
func (e *edge) launchWithoutEndpoints() {
	e.t.Helper()
	e.launch()
	eventually(e.t, func() string {
		if found := adminURL.FindStringSubmatch(e.stderr.text()); found != nil {
			e.admin = found[1]
			return ""
		}
		return "no admin address in the log"
	})
}

// dockerPair is an edge and an agent, which is at 127.N.N.2 and on the host of the Engine.
func dockerPair(t *testing.T, number int, docker string) (e, agent *edge, host, service string) {
	t.Helper()
	c, service := newCluster(t), serviceName(number)
	e = c.prepare(fmt.Sprintf(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, gossip: %s, health: {active: {type: mqtt, interval: 500ms, timeout: 400ms}}}
`, service) + c.section(""))
	e.launchWithoutEndpoints()
	agent = c.prepare(c.dockerSection(docker))
	agent.launch()
	agent.awaitReady()
	t.Cleanup(func() {
		for _, process := range []*edge{e, agent} {
			if t.Failed() && !process.hasEnded() {
				out, _, _ := run(t, "status", "--json", "--admin", process.admin)
				_, metrics, _ := process.request("GET", "/metrics", "")
				for line := range strings.Lines(metrics) {
					if strings.HasPrefix(line, "mqedge_gossip") {
						out += line
					}
				}
				t.Logf("the status of %s:\n%s", process.admin, out)
			}
		}
	})
	return e, agent, c.net + "2:", service
}

func (h *dockerHost) startToEnd(t *testing.T) {
	t.Parallel()
	e, agent, host, service := dockerPair(t, 8, "{}")
	const emqx = "EMQX_LISTENERS__TCP__DEFAULT__"
	port := strconv.Itoa(freePort(t))

	// On the host's network, with nothing but the service: the port and PROXY protocol are those of EMQX's environment.
	began := time.Now()
	onHost := h.run(t, "--network", "host", "--label", "mqedge.service="+service, "-e", "STUBBORN=1",
		"-e", emqx+`BIND="0.0.0.0:`+port+`"`, "-e", emqx+"PROXY_PROTOCOL=true")
	e.awaitReady()
	t.Logf("served %v after docker run", time.Since(began).Round(time.Millisecond))
	e.awaitEndpoints("emqx", host+port)
	if strings.Contains(e.stderr.text(), "another send_proxy") {
		t.Error("PROXY protocol that is on is another than v2")
	}

	// On a bridge, with labels, two services and a published port.
	onBridge := h.run(t, "-p", "1883", "--label", "mqedge.0.service="+service, "--label", "mqedge.0.port=1883", "--label", "mqedge.0.weight=5",
		"--label", "mqedge.0.check=mqtt", "--label", "mqedge.0.check.interval=300ms", "--label", "mqedge.0.send_proxy=v2",
		"--label", "mqedge.1.service="+service+"-too", "--label", "mqedge.1.port=1883", "--label", "mqedge.1.tags.zone=b", "-e", emqx+"PROXY_PROTOCOL=true")
	e.awaitEndpoints("emqx", host+port, host+onBridge.published(1883))
	e.awaitMetric(`mqedge_gossip_announcements{service="`+service+`-too"}`, 1)
	if ep := e.endpoint("emqx", host+onBridge.published(1883)); ep.Weight != 5 {
		t.Errorf("weight 5 became %d", ep.Weight)
	}
	if out, _, _ := run(t, "status", "--admin", e.admin); !strings.Contains(out, "container "+onHost.name) {
		t.Errorf("the edge does not say in which container an endpoint is:\n%s", out)
	}
	out, _, _ := run(t, "status", "--admin", agent.admin)
	if strings.Contains(out, "LISTENER") || !strings.Contains(out, "ANNOUNCED") || !strings.Contains(out, onBridge.name+"\n") {
		t.Errorf("the status of an agent:\n%s", out)
	}
	agent.awaitMetric("mqedge_docker_up", 1)

	told := make(chan byte, 12)
	for i := range 12 { // of which the one with a sixth of the weight gets some
		connect5With(t, dial(t, e.addr("mqtt")), fmt.Sprint("told-", i), func(d *paho5.Disconnect) { told <- d.ReasonCode })
	}
	e.awaitActive("mqtt", 12)

	// It is told to stop and takes its time: its clients are elsewhere before it ends.
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		onHost.docker("stop", "-t", "8", onHost.name)
	}()
	e.awaitEndpoints("emqx", host+onBridge.published(1883))
	if !onHost.runs() {
		t.Error("it was withdrawn only when it had ended")
	}
	select {
	case code := <-told:
		if code != 0x9c {
			t.Errorf("a client of the container was told %#x, want 0x9c, Use another server", code)
		}
	case <-time.After(patience()):
		t.Error("no client of the container that is being stopped was told anything")
	}
	<-stopped
	onHost.docker("start", onHost.name)
	e.awaitEndpoints("emqx", host+port, host+onBridge.published(1883))

	onBridge.docker("kill", onBridge.name)
	e.awaitEndpoints("emqx", host+port)
	onBridge.docker("start", onBridge.name) // at another port of the host
	e.awaitEndpoints("emqx", host+port, host+onBridge.published(1883))
	onHost.docker("rm", "-f", onHost.name)
	e.awaitEndpoints("emqx", host+onBridge.published(1883))
	h.run(t, "--network", "host", "--label", "mqedge.service="+service, "-e", emqx+"BIND=0.0.0.0:"+port, "-e", emqx+"PROXY_PROTOCOL=true")
	e.awaitEndpoints("emqx", host+port, host+onBridge.published(1883))

	// Without a published port it is the container's own address.
	inside := h.run(t, "--label", "mqedge.service="+service, "-e", emqx+"PROXY_PROTOCOL=true")
	e.awaitEndpoints("emqx", host+port, host+onBridge.published(1883), inside.inspect("{{.NetworkSettings.IPAddress}}")+":1883")
	if out, _, _ := run(t, "status", "--admin", agent.admin); !strings.Contains(strings.Join(strings.Fields(out), " "), "port 1883 is not published") {
		t.Errorf("the agent does not say that a port is not published:\n%s", out)
	}
}

func (c container) runs() bool { return c.inspect("{{.State.Running}}") == "true" }

func (h *dockerHost) unhealthy(t *testing.T) {
	t.Parallel()
	image := h.image + "-checked"
	build := container{t, ""}
	from := h.run(t)
	build.docker("commit", "-c", `HEALTHCHECK --interval=300ms --timeout=5s --retries=1 CMD ["/broker", "health"]`, from.name, image)
	t.Cleanup(func() { build.docker("rmi", "-f", image) })

	e, agent, _, service := dockerPair(t, 9, "{host: 127.0.0.1}")
	const host = "127.0.0.1:"
	steady := h.run(t, "-p", "1883", "--label", "mqedge.service="+service, "--label", "mqedge.port=1883",
		"--label", "mqedge.check=none", "-e", "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	c := h.runImage(t, image, "-p", "1883", "--label", "mqedge.service="+service, "--label", "mqedge.port=1883",
		"--label", "mqedge.check=mqtt", "-e", "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	all := []string{host + steady.published(1883), host + c.published(1883)}
	e.awaitEndpoints("emqx", all...)

	c.docker("exec", c.name, "/broker", "sick")
	e.awaitEndpoints("emqx", all[0])
	agent.awaitLog("container is not announced any more", c.name, "unhealthy")
	c.docker("exec", c.name, "/broker", "well")
	e.awaitEndpoints("emqx", all...)

	c.docker("pause", c.name)
	e.awaitEndpoints("emqx", all[0])
	agent.awaitLog("container is not announced any more", c.name, "paused")
	c.docker("unpause", c.name)
	e.awaitEndpoints("emqx", all...)

	c.docker("kill", "-s", "HUP", steady.name) // is no end
	for label, remedy := range map[string]string{
		"mqedge.port=eighteen":  "label mqedge.port: \\\"eighteen\\\" is not a port",
		"mqedge.check=ping":     "is not one of none, tcp, mqtt",
		"mqedge.servcie=" + "x": "label mqedge.service is missing",
	} {
		labels := []string{"--label", label}
		if !strings.HasPrefix(label, "mqedge.servcie") {
			labels = append(labels, "--label", "mqedge.service="+service)
		}
		wrong := h.run(t, labels...)
		agent.awaitLog("container cannot be announced", wrong.name, remedy)
	}
	eventually(t, func() string {
		if n := agent.metrics()[`mqedge_docker_containers{state="wrong"}`]; n < 3 {
			return fmt.Sprintf("%v containers are wrong", n)
		}
		return ""
	})
	e.awaitEndpoints("emqx", all...)
}

func (h *dockerHost) engineAway(t *testing.T) {
	t.Parallel()
	w := watchEngine(t)
	e, agent, host, service := dockerPair(t, 10, "{socket: "+w.path+"}")
	agent.awaitLog("the Docker Engine does not answer", "there is no socket "+w.path)
	agent.awaitMetric("mqedge_docker_up", 0)

	labels := []string{"-p", "1883", "--label", "mqedge.service=" + service, "-e", "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true"}
	first, second := h.run(t, labels...), h.run(t, labels...)
	w.start()
	agent.awaitLog("the Docker Engine answers again")
	e.awaitEndpoints("emqx", host+first.published(1883), host+second.published(1883))

	w.stop()
	agent.awaitMetric("mqedge_docker_up", 0)
	if out, _, _ := run(t, "status", "--admin", agent.admin); !strings.Contains(out, "what was known stays") {
		t.Errorf("the status of an agent without its Engine:\n%s", out)
	}
	e.awaitEndpoints("emqx", host+first.published(1883), host+second.published(1883))
	second.docker("rm", "-f", second.name)
	third := h.run(t, labels...)
	w.start()
	agent.awaitMetric("mqedge_docker_up", 1)
	e.awaitEndpoints("emqx", host+first.published(1883), host+third.published(1883))
	if n := strings.Count(agent.stderr.text(), "the Docker Engine does not answer"); n != 2 {
		t.Errorf("two outages were reported %d times:\n%s", n, agent.stderr.text())
	}
	if wrote := w.wrote(); len(wrote) > 0 {
		t.Errorf("the Engine was asked for more than reads: %v", wrote)
	}
}

func (h *dockerHost) reloaded(t *testing.T) {
	t.Parallel()
	w := watchEngine(t)
	w.start()
	e, agent, host, service := dockerPair(t, 11, "{socket: "+w.path+"}")
	a := h.run(t, "-p", "1883", "--label", "mqedge.service="+service, "--label", "mqedge.tags.zone=b", "-e", "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	all := host + a.published(1883)
	e.awaitEndpoints("emqx", all)
	d := mustConnect(t, e.addr("mqtt"), nil, "stays")
	config := func(docker, more string) string {
		return fmt.Sprintf("gossip: {bind: '%s7946', join: ['%s1:7946'], key_file: keys, docker: %s%s}\n", host, strings.TrimSuffix(host, "2:"), docker, more)
	}

	// Another member with the same containers, and a socket that is not there: what is known stays announced.
	agent.reload(config("{socket: "+w.path+"}", ", name: renamed"))
	e.awaitMetric("mqedge_gossip_members", 2)
	e.awaitEndpoints("emqx", all)
	agent.reload(config("{socket: /nowhere.sock}", ", name: renamed"))
	agent.awaitLog("there is no socket /nowhere.sock")
	e.awaitEndpoints("emqx", all)
	must(t, d.ping())
	if log := e.stderr.text(); strings.Contains(log, "endpoint was withdrawn") {
		t.Errorf("a reload took a container out of use:\n%s", log)
	}

	agent.reload(config("{socket: ''}", ", name: renamed, announce: [{service: other, address: ':1'}]"))
	e.awaitEndpoints("emqx")
	agent.reload(config("{}", ", name: renamed"))
	e.awaitEndpoints("emqx", all)
}
