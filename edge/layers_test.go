package edge

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mqedge/mqedge/"

// allowed is who may import whom. Code further down knows nothing of code
// further up, and only edge, the command and the demo see the file format.
var allowed = map[string][]string{
	"cmd/mqedge":         {"admin", "configs", "configs/convert", "configs/haproxy", "configs/nginx", "demo", "edge", "edge/doctor", "edge/systemd", "edge/upgrade"},
	"demo":               {"admin", "certs", "certs/ca", "configs", "demo/broker", "demo/hooks", "edge"},
	"demo/broker":        {},
	"demo/hooks":         {},
	"edge":               {"admin", "balancer", "balancer/probe", "certs", "configs", "discovery", "discovery/dns", "discovery/docker", "discovery/gossip", "edge/cgroup", "edge/upgrade", "exhook", "exhook/carrier", "exhook/hook", "proxy", "proxy/accesslog", "proxy/admit", "proxy/ports", "proxy/relay"},
	"edge/cgroup":        {},
	"edge/systemd":       {},
	"edge/upgrade":       {},
	"edge/doctor":        {"balancer", "balancer/probe", "certs", "configs", "discovery/docker", "edge/cgroup"},
	"admin":              {},
	"exhook":             {"balancer", "exhook/grpcrelay", "exhook/hook"},
	"exhook/carrier":     {"exhook", "exhook/grpcrelay", "proxy/relay"},
	"exhook/hook":        {},
	"proxy":              {"balancer", "proxy/accesslog", "proxy/admit", "proxy/mqtt", "proxy/ports", "proxy/relay", "proxy/ws"},
	"proxy/accesslog":    {},
	"proxy/admit":        {},
	"proxy/mqtt":         {},
	"proxy/ws":           {"proxy/mqtt"},
	"proxy/relay":        {"proxy/relay/record"},
	"proxy/relay/record": {},
	"proxy/ports":        {},
	"exhook/grpcrelay":   {},
	"balancer":           {},
	"balancer/probe":     {"balancer"},
	"certs":              {},
	"certs/ca":           {},
	"configs":            {},
	"configs/convert":    {"configs"},
	"configs/golden":     {"certs/ca", "configs", "configs/convert"}, // for tests
	"configs/haproxy":    {"configs", "configs/convert"},
	"configs/nginx":      {"configs", "configs/convert"},
	"discovery":          {"balancer"},
	"discovery/dns":      {"balancer", "discovery"},
	"discovery/docker":   {},
	"discovery/gossip":   {"balancer", "discovery"},
	"e2e":                {}, // tests only
	"docs":               {}, // tests only
	"deploy":             {}, // tests only
	"deploy/standin":     {"demo/broker"},
	"deploy/validate":    {}, // tests only, and a module of its own
}

func TestEveryPackageImportsOnlyWhatItsLayerMay(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || rel == "bench" {
			return fs.SkipDir // bench is a program beside the product
		}
		p, err := build.ImportDir(path, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return err
		}
		may, known := allowed[rel]
		if !known {
			t.Errorf("package %s is new: say here what it may import", rel)
		}
		for _, imp := range p.Imports {
			if dep, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(may, dep) {
				t.Errorf("%s must not import %s", rel, dep)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if _, err := os.Stat(filepath.Join(root, pkg)); err != nil {
			t.Errorf("package %s is gone: take it out here", pkg)
		}
	}
}
