package validate_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqedge/mqedge/configs"
)

const kubernetes = "../kubernetes"

// roots are the kustomizations that users apply.
var roots = []string{kubernetes, kubernetes + "/edge", kubernetes + "/agents", kubernetes + "/emqx"}

func TestEveryKustomizationMakesObjectsThatKubernetesTakes(t *testing.T) {
	for _, dir := range roots {
		if made := build(t, dir); len(made) < 3 {
			t.Errorf("%s makes %d objects", dir, len(made))
		}
	}
	for _, dir := range roots[:3] {
		made := build(t, with(t, dir))
		get[monitoring.PrometheusRule](t, made, "PrometheusRule", "mqedge")
		get[monitoring.PodMonitor](t, made, "PodMonitor", "mqedge")
	}
}

// place is a container that runs mqedge, in the pod it is in.
type place struct {
	name      string
	pod       core.PodSpec
	container core.Container
	config    *configs.Config
}

// places are all containers of mqedge that a kustomization makes.
func places(t *testing.T, made objects) []place {
	t.Helper()
	var found []place
	for name, o := range made {
		var pod core.PodSpec
		switch o := o.(type) {
		case *apps.Deployment:
			pod = o.Spec.Template.Spec
		case *apps.StatefulSet:
			pod = o.Spec.Template.Spec
		case *apps.DaemonSet:
			pod = o.Spec.Template.Spec
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			if strings.HasPrefix(c.Image, "mqedge:") {
				found = append(found, place{name, pod, c, configOf(t, made, pod, c)})
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("nothing runs mqedge")
	}
	return found
}

// configOf loads the ConfigMap that the container mounts, and wants that all it names is mounted too.
func configOf(t *testing.T, made objects, pod core.PodSpec, c core.Container) *configs.Config {
	t.Helper()
	file := c.Args[slices.Index(c.Args, "-c")+1]
	mounted := make(map[string]core.Volume)
	for _, m := range c.VolumeMounts {
		if m.SubPath != "" {
			t.Errorf("%s: a subPath never changes", m.MountPath)
		}
		i := slices.IndexFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			t.Fatalf("there is no volume %s", m.Name)
		}
		mounted[m.MountPath] = pod.Volumes[i]
	}
	volume, there := mounted[filepath.Dir(file)]
	if !there || volume.ConfigMap == nil {
		t.Fatalf("%s is not of a ConfigMap", file)
	}
	text := get[core.ConfigMap](t, made, "ConfigMap", volume.ConfigMap.Name).Data[filepath.Base(file)]
	for _, m := range regexp.MustCompile(`\w+_file: *(/[^\s,}]+)`).FindAllStringSubmatch(text, -1) {
		if _, there := mounted[filepath.Dir(m[1])]; !there {
			t.Errorf("%s is in no volume", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc(c.Env, func(e core.EnvVar) bool { return e.Name == m[1] }) {
			t.Errorf("%s is not in the environment", m[1])
		}
		t.Setenv(m[1], "10.1.0.7")
	}
	return withoutFiles(t, text)
}

func TestPodsGiveMqedgeTheTimeThatItsDrainTakes(t *testing.T) {
	for _, dir := range roots[:3] {
		for _, p := range places(t, build(t, dir)) {
			drain := p.config.Drain
			if grace := time.Duration(*p.pod.TerminationGracePeriodSeconds) * time.Second; grace < drain.Delay+drain.Deadline+10*time.Second {
				t.Errorf("%s: a grace period of %v is too short", p.name, grace)
			}
			ready := p.container.ReadinessProbe
			if ready == nil {
				continue
			}
			if tolerated := time.Duration(ready.PeriodSeconds*ready.FailureThreshold) * time.Second; tolerated <= drain.Delay {
				t.Errorf("%s: kube-proxy stops forwarding after %v, while mqedge accepts for %v", p.name, tolerated, drain.Delay)
			}
		}
	}
}

func TestProbesAskWhatTheyShouldWhereMqedgeListens(t *testing.T) {
	for _, dir := range roots[:3] {
		for _, p := range places(t, build(t, dir)) {
			host, port, err := net.SplitHostPort(p.config.Admin.Bind)
			if err != nil {
				t.Fatal(err)
			}
			for name, probe := range map[string]*core.Probe{"/livez": p.container.LivenessProbe, "startup": p.container.StartupProbe, "/readyz": p.container.ReadinessProbe} {
				if probe == nil {
					continue
				}
				if probe.Exec != nil {
					if want := []string{"/mqedge", "health", "--live", "--admin", p.config.Admin.Bind}; !slices.Equal(probe.Exec.Command, want) {
						t.Errorf("%s: %s: %q, want %q", p.name, name, probe.Exec.Command, want)
					}
					continue
				}
				if name == "startup" {
					name = "/livez"
				}
				if probe.HTTPGet.Path != name {
					t.Errorf("%s: %s is asked, want %s", p.name, probe.HTTPGet.Path, name)
				}
				if host != "0.0.0.0" || containerPort(p.container, probe.HTTPGet.Port.StrVal) != port {
					t.Errorf("%s: the probe asks %v, and mqedge is at %s", p.name, probe.HTTPGet.Port, p.config.Admin.Bind)
				}
			}
			if p.container.LivenessProbe == nil {
				t.Errorf("%s has no liveness probe", p.name)
			}
		}
	}
}

// containerPort is the number of a named port.
func containerPort(c core.Container, name string) string {
	for _, p := range c.Ports {
		if p.Name == name {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return "none"
}

func TestEveryListenerOfAnEdgeIsAPortOfItsContainerServiceAndPolicy(t *testing.T) {
	for _, dir := range roots[:3] {
		made := build(t, dir)
		for _, p := range places(t, made) {
			if !strings.HasPrefix(p.name, "Deployment") {
				continue
			}
			service := get[core.Service](t, made, "Service", "mqedge")
			let := get[networking.NetworkPolicy](t, made, "NetworkPolicy", "mqedge").Spec.Ingress[0].Ports
			for name, l := range p.config.Listeners {
				_, port, _ := net.SplitHostPort(l.Bind[0])
				if containerPort(p.container, name) != port {
					t.Errorf("%s: no container port %s is %s", dir, name, port)
				}
				if !slices.ContainsFunc(service.Spec.Ports, func(s core.ServicePort) bool { return s.TargetPort.StrVal == name && strconv.Itoa(int(s.Port)) == port }) {
					t.Errorf("%s: the service has no port %s for %s", dir, port, name)
				}
				if !slices.ContainsFunc(let, func(n networking.NetworkPolicyPort) bool { return n.Port.StrVal == name }) {
					t.Errorf("%s: the network policy does not let anybody in to %s", dir, name)
				}
			}
			if service.Spec.ExternalTrafficPolicy != core.ServiceExternalTrafficPolicyLocal {
				t.Error("EMQX would be told the addresses of nodes instead of clients'")
			}
		}
	}
}

func TestEveryNameThatIsAskedForIsAHeadlessService(t *testing.T) {
	for _, dir := range []string{kubernetes, kubernetes + "/agents"} {
		made := build(t, dir)
		for _, p := range places(t, made) {
			var names []string
			for _, u := range p.config.Upstreams {
				if u.DNS != nil && u.DNS.Name != "" {
					names = append(names, u.DNS.Name+":"+strconv.Itoa(u.DNS.Port))
				}
			}
			if p.config.Gossip != nil {
				names = append(names, p.config.Gossip.Join...)
			}
			for _, name := range names {
				host, port, _ := net.SplitHostPort(name)
				if host == "hookserver" { // is the user's
					continue
				}
				s := get[core.Service](t, made, "Service", host)
				if s.Spec.ClusterIP != core.ClusterIPNone || !s.Spec.PublishNotReadyAddresses {
					t.Errorf("%s: %s is no headless service of all pods", p.name, host)
				}
				if !slices.ContainsFunc(s.Spec.Ports, func(s core.ServicePort) bool { return strconv.Itoa(int(s.Port)) == port }) {
					t.Errorf("%s: %s has no port %s", p.name, host, port)
				}
			}
		}
	}
}

func TestMqedgeHasNoRightsThatItDoesNotNeed(t *testing.T) {
	for _, dir := range roots[:3] {
		for _, p := range places(t, build(t, dir)) {
			c := p.container.SecurityContext
			nonRoot := c.RunAsNonRoot
			if nonRoot == nil && p.pod.SecurityContext != nil {
				nonRoot = p.pod.SecurityContext.RunAsNonRoot
			}
			if nonRoot == nil || !*nonRoot || *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) {
				t.Errorf("%s: %+v", p.name, c)
			}
			if p.container.Resources.Limits.Memory().IsZero() || !p.container.Resources.Limits.Cpu().IsZero() {
				t.Errorf("%s: wants a limit on memory, which mqedge knows, and none on processors, which stalls it", p.name)
			}
		}
	}
}

func TestTheSidecarIsUpBeforeEMQXAndIsWhomItCalls(t *testing.T) {
	made := build(t, kubernetes)
	pod := get[apps.StatefulSet](t, made, "StatefulSet", "emqx").Spec.Template.Spec
	sidecar := pod.InitContainers[0]
	if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != core.ContainerRestartPolicyAlways || sidecar.StartupProbe == nil {
		t.Errorf("it is no sidecar: %+v", sidecar)
	}
	env := make(map[string]string)
	for _, e := range pod.Containers[0].Env {
		env[e.Name] = e.Value
	}
	for _, p := range places(t, made) {
		if p.container.Name == sidecar.Name && strings.HasPrefix(p.name, "StatefulSet") {
			if at := p.config.Listeners["hooks"].Bind[0]; env["EMQX_EXHOOK__SERVERS__1__URL"] != "http://"+at {
				t.Errorf("EMQX calls %s, and mqedge listens on %s", env["EMQX_EXHOOK__SERVERS__1__URL"], at)
			}
			return
		}
	}
	t.Error("there is no sidecar")
}

func TestMonitorsScrapePortsThatPodsHave(t *testing.T) {
	made := build(t, with(t, kubernetes))
	for _, name := range []string{"mqedge", "mqedge-sidecar"} {
		m := get[monitoring.PodMonitor](t, made, "PodMonitor", name)
		if !slices.ContainsFunc(places(t, made), func(p place) bool {
			return containerPort(p.container, *m.Spec.PodMetricsEndpoints[0].Port) != "none"
		}) {
			t.Errorf("%s: no container has the port %s", name, *m.Spec.PodMetricsEndpoints[0].Port)
		}
	}
}

func TestTheTypesAreStrict(t *testing.T) {
	text, err := os.ReadFile(kubernetes + "/edge/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		strings.Replace(string(text), "replicas: 2", "replica: 2", 1),
		strings.Replace(string(text), "replicas: 2", "replicas: two", 1),
		strings.Replace(string(text), "replicas: 2", "replicas: 2\n  replicas: 3", 1),
	} {
		if yaml.UnmarshalStrict([]byte(bad), new(apps.Deployment)) == nil {
			t.Error("a mistake is not seen")
		}
	}
}
