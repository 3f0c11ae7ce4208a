package validate_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// of everything are labels that Prometheus adds, and what the exporters of every Go program have.
var ofEverything = []string{"__name__", "job", "instance", "le", "alertname", "alertstate"}

// labelsOf reads the table of metrics that the docs have; e2e holds it against a running edge.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `(mqedge_\\w+)` \\| (\\w+) \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		names := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
		found[m[1]] = names
		if m[2] == "histogram" {
			found[m[1]+"_bucket"], found[m[1]+"_sum"], found[m[1]+"_count"] = names, names, names
		}
	}
	if len(found) < 40 {
		t.Fatalf("found %d metrics", len(found))
	}
	return found
}

// queries are all expressions of the dashboard and the alerts, by where they stand.
func queries(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	text, err := os.ReadFile("../prometheus/mqedge.rules.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			found[r.Alert] = r.Expr
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
		Annotations struct{ List []struct{ Name, Expr string } }
		Templating  struct {
			List []struct{ Name, Definition string }
		}
	}
	text, err = os.ReadFile("../grafana/mqedge.json")
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			found[p.Title+" "+q.RefID] = q.Expr
		}
	}
	for _, a := range dashboard.Annotations.List {
		found[a.Name] = a.Expr
	}
	for _, v := range dashboard.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			found["$"+v.Name] = "count by (" + m[2] + ") (" + m[1] + ")"
		}
	}
	return found
}

func TestEveryQueryIsPromQLOfMetricsWithTheirLabels(t *testing.T) {
	known, all := labelsOf(t), queries(t)
	if len(all) < 80 {
		t.Errorf("found %d queries", len(all))
	}
	for where, query := range all {
		if problem := check(known, query); problem != "" {
			t.Errorf("%s: %s\n%s", where, problem, query)
		}
	}
}

func TestAQueryWithAMistakeIsFound(t *testing.T) {
	known := labelsOf(t)
	for _, query := range []string{
		`sum(mqedge_connections_active`,
		`mqedge_connections_opened`,
		`mqedge_connections_active{upstream="emqx"}`,
		`sum by (endpoint) (mqedge_connections_active)`,
		`sum by (listener) (rate(mqedge_tls_handshake_seconds[5m]) > 0) + on (endpoint) mqedge_reloads_total`,
	} {
		if check(known, query) == "" {
			t.Errorf("%s passes", query)
		}
	}
}

// check says what is wrong with a query.
func check(known map[string][]string, query string) string {
	query = strings.NewReplacer("$__rate_interval", "5m", "$__all", ".*").Replace(query)
	tree, err := parser.ParseExpr(query)
	if err != nil {
		return err.Error()
	}
	problem := ""
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		var used []string
		switch n := node.(type) {
		case *parser.VectorSelector:
			if labels, ok := known[n.Name]; !ok && strings.HasPrefix(n.Name, "mqedge_") {
				problem = "there is no metric " + n.Name
			} else if ok {
				for _, m := range n.LabelMatchers {
					if !slices.Contains(labels, m.Name) && !slices.Contains(ofEverything, m.Name) {
						problem = n.Name + " has no label " + m.Name
					}
				}
			}
			return nil
		case *parser.AggregateExpr:
			used = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				used = n.VectorMatching.MatchingLabels
			}
		}
		for _, name := range used {
			for _, metric := range metricsIn(node) {
				if names, ok := known[metric]; ok && !slices.Contains(names, name) && !slices.Contains(ofEverything, name) {
					problem = metric + " has no label " + name
				}
			}
		}
		return nil
	})
	return problem
}

func metricsIn(node parser.Node) []string {
	var names []string
	parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			for _, m := range v.LabelMatchers {
				if m.Name == labels.MetricName {
					names = append(names, m.Value)
				}
			}
		}
		return nil
	})
	return names
}
