package edge

import (
	"slices"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/proxy/accesslog"
)

// Neither package may import the other, and check must not accept a format that
// run then refuses, nor the other way round.
func TestCheckAndTheAccessLogKnowTheSameVariables(t *testing.T) {
	plain := func(names []string) []string {
		var out []string
		for _, n := range names {
			out = append(out, strings.TrimPrefix(n, "$"))
		}
		return slices.Sorted(slices.Values(out))
	}
	if c, a := plain(configs.AccessLogVariables()), plain(accesslog.Variables()); !slices.Equal(c, a) {
		t.Errorf("check knows  %v\nthe log knows %v", c, a)
	}
}
