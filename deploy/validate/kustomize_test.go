// Package validate_test holds deploy against the types and parsers of those who read its files: Kubernetes, Compose, Prometheus. It is a
// module of its own, so that none of them is a dependency of mqedge.
package validate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kinds are the objects that deploy may hold, by apiVersion and kind.
var kinds = map[string]reflect.Type{
	"v1 ConfigMap":                            reflect.TypeFor[core.ConfigMap](),
	"v1 Service":                              reflect.TypeFor[core.Service](),
	"apps/v1 Deployment":                      reflect.TypeFor[apps.Deployment](),
	"apps/v1 StatefulSet":                     reflect.TypeFor[apps.StatefulSet](),
	"apps/v1 DaemonSet":                       reflect.TypeFor[apps.DaemonSet](),
	"policy/v1 PodDisruptionBudget":           reflect.TypeFor[policy.PodDisruptionBudget](),
	"networking.k8s.io/v1 NetworkPolicy":      reflect.TypeFor[networking.NetworkPolicy](),
	"monitoring.coreos.com/v1 PodMonitor":     reflect.TypeFor[monitoring.PodMonitor](),
	"monitoring.coreos.com/v1 PrometheusRule": reflect.TypeFor[monitoring.PrometheusRule](),
}

// objects are what a kustomization makes, by "Kind name".
type objects map[string]any

// build runs kustomize, and decodes each object strictly: no unknown key, no key twice, no value of another type.
func build(t *testing.T, dir string) objects {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(objects)
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		kind, known := kinds[r.GetApiVersion()+" "+r.GetKind()]
		if !known {
			t.Fatalf("%s: no type is known of %s %s", dir, r.GetApiVersion(), r.GetKind())
		}
		object := reflect.New(kind).Interface()
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Errorf("%s: %s %s: %v", dir, r.GetKind(), r.GetName(), err)
		}
		all[r.GetKind()+" "+r.GetName()] = object
	}
	return all
}

// with is a kustomization of the one in dir and the component monitoring.
func with(t *testing.T, dir string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "kustomization.yaml")
	relative := func(to string) string {
		here, err := filepath.EvalSymlinks(filepath.Dir(at))
		if err != nil {
			t.Fatal(err)
		}
		to, err = filepath.Abs(to)
		if err == nil {
			to, err = filepath.Rel(here, to)
		}
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	text := fmt.Sprintf("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [%q]\ncomponents: [%q]\n",
		relative(dir), relative(kubernetes+"/monitoring"))
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(at)
}

func get[T any](t *testing.T, all objects, kind, name string) *T {
	t.Helper()
	o, ok := all[kind+" "+name].(*T)
	if !ok {
		t.Fatalf("there is no %s %s", kind, name)
	}
	return o
}
