//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/bench/load"
)

func TestASoakFailsForWhatIsLostOrLeftOver(t *testing.T) {
	before := vitals{goroutines: 20, fds: 16}
	for name, c := range map[string]struct {
		after  vitals
		result load.SoakResult
		want   string // "" is no failure
	}{
		"all back":            {vitals{goroutines: 25, fds: 21, pss: 1 << 30}, load.SoakResult{Messages: 9}, ""},
		"a goroutine":         {vitals{goroutines: 26, fds: 16}, load.SoakResult{}, "26 goroutines"},
		"a file":              {vitals{goroutines: 20, fds: 22}, load.SoakResult{}, "22 files"},
		"a connection":        {vitals{goroutines: 20, fds: 16, connections: 1}, load.SoakResult{}, "1 connections"},
		"a message":           {before, load.SoakResult{Lost: 1}, "1 messages lost"},
		"a wrong message":     {before, load.SoakResult{Wrong: 2}, "2 wrong"},
		"a connection denied": {before, load.SoakResult{Failed: map[string]int{"refused": 1}}, "refused"},
	} {
		err := errors.Join(verdict(before, c.after, c.result)...)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestThePeakIsThatOfEachFigure(t *testing.T) {
	got := vitals{connections: 1, goroutines: 9, fds: 3, pss: 7}.highest(vitals{connections: 2, goroutines: 8, fds: 4, pss: 6})
	if want := (vitals{connections: 2, goroutines: 9, fds: 4, pss: 7}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestMetricsAreReadWithTheirLabelsAddedUp(t *testing.T) {
	const exposition = `# HELP go_goroutines Number of goroutines that currently exist.
go_goroutines 17
go_goroutines_created 99
mqedge_connections_active{listener="a"} 3
mqedge_connections_active{listener="b c"} 1.2e+02
`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, exposition) }))
	defer server.Close()
	goroutines, connections, err := scrape(t.Context(), server.URL)
	if err != nil || goroutines != 17 || connections != 123 {
		t.Errorf("%d goroutines, %d connections, %v; want 17 and 123", goroutines, connections, err)
	}
	if _, err := gauge(exposition, "go_threads"); err == nil || !strings.Contains(err.Error(), "go_threads") {
		t.Errorf("error %v, want the metric that is missing", err)
	}
}
