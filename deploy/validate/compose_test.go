package validate_test

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mqedge/mqedge/configs"
)

// composed are the sets of files that users bring up.
var composed = map[string][]string{
	"cluster":      {"../compose/cluster/compose.yaml"},
	"with hooks":   {"../compose/cluster/compose.yaml", "../compose/cluster/compose.hooks.yaml"},
	"EMQX hosts":   {"../compose/host-network/broker/compose.yaml"},
	"edges' hosts": {"../compose/host-network/edge/compose.yaml"},
}

var environment = []string{
	"EMQX_COOKIE=secret", "EMQX_SEEDS=[emqx1@10.0.0.11]", "HOST_IP=10.0.0.11", "EDGES=edges.example.internal:7946", "DOCKER_GID=999", "HOOKSERVER_IMAGE=hookserver:1",
}

// compose loads files as docker compose does, and validates them with its schema.
func compose(t *testing.T, files []string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithEnv(environment), cli.WithName("test"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestEveryComposeFileLoads(t *testing.T) {
	for name, files := range composed {
		if p := compose(t, files); len(p.Services) == 0 {
			t.Errorf("%s has no services", name)
		}
	}
}

func TestAMissingVariableIsAskedForInWords(t *testing.T) {
	for name, files := range composed {
		if name == "cluster" {
			continue
		}
		options, err := cli.NewProjectOptions(files, cli.WithName("test"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := options.LoadProject(context.Background()); err == nil || !strings.Contains(err.Error(), "required variable") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServicesOfMqedgeAgreeWithTheConfigurationsTheyMount(t *testing.T) {
	for name, files := range composed {
		project, n := compose(t, files), 0
		for _, s := range project.Services {
			if !strings.HasPrefix(s.Image, "mqedge:") {
				continue
			}
			n++
			at := name + ": " + s.Name
			config := mounted(t, at, s)
			if config == nil {
				continue
			}
			if grace, drain := time.Duration(*s.StopGracePeriod), config.Drain; grace < drain.Delay+drain.Deadline+10*time.Second {
				t.Errorf("%s: a grace period of %v is too short", at, grace)
			}
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Restart == "" {
				t.Errorf("%s: read_only, cap_drop or restart is missing", at)
			}
			published(t, at, s, config)
			for _, u := range config.Upstreams {
				if u.DNS != nil && u.DNS.Name != "" && !resolves(project, s, u.DNS.Name) {
					t.Errorf("%s: nobody on its network is called %s", at, u.DNS.Name)
				}
			}
		}
		if n == 0 {
			t.Errorf("%s has no mqedge", name)
		}
	}
}

// mounted loads the configuration that the image starts with, and wants that what it names is mounted.
func mounted(t *testing.T, at string, s types.ServiceConfig) *configs.Config {
	t.Helper()
	folders := make(map[string]string)
	for _, v := range s.Volumes {
		folders[v.Target] = v.Source
	}
	for _, secret := range s.Secrets {
		folders["/run/secrets/"+secret.Source] = ""
	}
	text, err := os.ReadFile(filepath.Join(folders["/etc/mqedge"], "mqedge.yaml"))
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	for _, m := range regexp.MustCompile(`(?:_file|socket): *(/[^\s,}]+)`).FindAllStringSubmatch(string(text), -1) {
		_, folder := folders[filepath.Dir(m[1])]
		if _, file := folders[m[1]]; !folder && !file {
			t.Errorf("%s: %s is in no volume", at, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(string(text), -1) {
		value := s.Environment[m[1]]
		if value == nil {
			t.Errorf("%s: %s is not in its environment", at, m[1])
			continue
		}
		t.Setenv(m[1], *value)
	}
	return withoutFiles(t, string(text))
}

func published(t *testing.T, at string, s types.ServiceConfig, c *configs.Config) {
	t.Helper()
	if s.NetworkMode == "host" {
		return
	}
	var open []string
	for _, l := range c.Listeners {
		for _, bind := range l.Bind {
			_, port, _ := net.SplitHostPort(bind)
			open = append(open, port)
		}
	}
	_, admin, _ := net.SplitHostPort(c.Admin.Bind)
	for _, p := range s.Ports {
		number := regexp.MustCompile(`^\d+`).FindString(p.Published)
		switch {
		case number == admin && p.HostIP != "127.0.0.1":
			t.Errorf("%s: the admin address is published to everybody", at)
		case number == admin:
		case !slices.Contains(open, number):
			t.Errorf("%s: nothing listens on %s", at, number)
		}
	}
}

// resolves is whether a service or an alias on a network of s has the name.
func resolves(p *types.Project, s types.ServiceConfig, name string) bool {
	for _, other := range p.Services {
		for network, settings := range other.Networks {
			if _, shared := s.Networks[network]; shared && (other.Name == name || settings != nil && slices.Contains(settings.Aliases, name)) {
				return true
			}
		}
	}
	return false
}

func TestEMQXIsReachedThroughMqedgeOnly(t *testing.T) {
	for name, files := range composed {
		for _, s := range compose(t, files).Services {
			if !strings.HasPrefix(s.Image, "emqx/") {
				continue
			}
			if len(s.Ports) > 0 {
				t.Errorf("%s: %s publishes ports, and believes PROXY headers", name, s.Name)
			}
			for key := range maps.Keys(s.Environment) {
				if strings.HasPrefix(key, "EMQX_EXHOOK__SERVERS__1__URL") && *s.Environment[key] != "http://mqedge-hooks:9000" {
					t.Errorf("%s: %s calls %s", name, s.Name, *s.Environment[key])
				}
			}
		}
	}
}
