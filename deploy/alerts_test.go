package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the PrometheusRule anew")

const (
	rulesFile     = "prometheus/mqedge.rules.yaml"
	operatorFile  = "kubernetes/monitoring/prometheusrule.yaml"
	dashboardFile = "grafana/mqedge.json"
	runbook       = "https://github.com/mqedge/mqedge/blob/main/docs/alerts.md#"
)

type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

type dashboard struct {
	Panels []struct {
		Type, Title string
		Targets     []struct{ Expr string }
		FieldConfig struct {
			Defaults  struct{ Unit string }
			Overrides []json.RawMessage
		}
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

func TestEveryAlertSaysWhatItMeansAndHasItsPlaceInTheDocs(t *testing.T) {
	page := string(read(t, "../docs/alerts.md"))
	var names []string
	for _, g := range decode[rules](t, read(t, rulesFile)).Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
			if r.Annotations["runbook_url"] != runbook+strings.ToLower(r.Alert) || !strings.Contains(page, "\n### "+r.Alert+"\n") {
				t.Errorf("%s: the runbook %s is not there", r.Alert, r.Annotations["runbook_url"])
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("%s: summary, description or severity is missing", r.Alert)
			}
		}
	}
	if len(names) < 25 {
		t.Errorf("found only %q", names)
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Mqedge\w+)$`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(names, m[1]) {
			t.Errorf("docs/alerts.md: there is no alert %s", m[1])
		}
	}
	tests := string(read(t, "prometheus/mqedge.rules_test.yaml"))
	for _, name := range names {
		if !strings.Contains(tests, fmt.Sprintf(`'{alertname="%s"}'`, name)) {
			t.Errorf("no unit test makes %s fire", name)
		}
	}
}

func TestTheOperatorsRulesAreThoseOfPrometheus(t *testing.T) {
	_, body, _ := strings.Cut("\n"+string(read(t, rulesFile)), "\ngroups:")
	var want strings.Builder
	want.WriteString(`# Made of deploy/prometheus/mqedge.rules.yaml, which is the place to change: ` + "`go test ./deploy -update`" + ` writes this file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mqedge
spec:
`)
	for line := range strings.Lines("groups:" + body) {
		if strings.TrimSpace(line) != "" {
			line = "  " + line
		}
		want.WriteString(line)
	}
	if *update {
		write(t, operatorFile, []byte(want.String()))
	}
	if string(read(t, operatorFile)) != want.String() {
		t.Errorf("%s is not what %s says: go test ./deploy -update", operatorFile, rulesFile)
	}
}

func TestEveryMetricOfTheDashboardAndTheAlertsIsExported(t *testing.T) {
	page := string(read(t, "../docs/metrics.md")) // which is tested to have all, and no other
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, file := range []string{rulesFile, "prometheus/mqedge.rules_test.yaml", dashboardFile} {
		for _, name := range regexp.MustCompile(`\bmqedge_[a-z_]+`).FindAllString(string(read(t, file)), -1) {
			if !strings.Contains(page, "| `"+name+"` |") && !strings.Contains(page, "| `"+suffix.ReplaceAllString(name, "")+"` | histogram |") {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

func TestEveryPanelHasAQueryATitleAndAUnit(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal(read(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, p := range d.Panels {
		if p.Title == "" || slices.Contains(titles, p.Title) {
			t.Errorf("two panels, or one without a title: %q", p.Title)
		}
		titles = append(titles, p.Title)
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s has no query", p.Title)
		}
		if p.FieldConfig.Defaults.Unit == "" && len(p.FieldConfig.Overrides) == 0 && p.Type != "state-timeline" {
			t.Errorf("%s has no unit", p.Title)
		}
		for _, q := range p.Targets {
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s is not of the edges that are selected", p.Title, q.Expr)
			}
		}
	}
	for _, want := range []string{"datasource", "instance", "listener", "upstream"} {
		if !slices.ContainsFunc(d.Templating.List, func(v struct{ Name, Definition string }) bool { return v.Name == want }) {
			t.Errorf("there is no variable %s", want)
		}
	}
}
