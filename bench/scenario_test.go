//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/bench/peers"
)

func TestTunedVariantsTakePartWhereTheirBuffersMayMatterAndNotInQuickRuns(t *testing.T) {
	taking := func(name string, s settings) string {
		i := slices.IndexFunc(scenarios(), func(sc scenario) bool { return sc.name == name })
		var all []string
		for _, p := range peers.All("mqedge") {
			if scenarios()[i].takes(p, s) {
				all = append(all, p.Name)
			}
		}
		return strings.Join(all, " ")
	}
	full, quick := settings{tuned: true}, settings{}
	for name, want := range map[string]string{
		"idle-tls":        "nginx nginx-4k haproxy haproxy-4k mqedge",
		"setup-plain":     "nginx nginx-4k haproxy haproxy-4k mqedge",
		"bulk-tls-up-1":   "nginx nginx-64k haproxy haproxy-64k mqedge",
		"msg-tls-9000c":   "nginx nginx-4k haproxy haproxy-4k mqedge",
		"bulk-plain-up-8": "nginx nginx-64k haproxy haproxy-64k mqedge",
		"grpc-full":       "nginx nginx-grpc haproxy haproxy-grpc mqedge",
		"grpc-idle":       "nginx nginx-grpc haproxy haproxy-grpc mqedge",
	} {
		if got := taking(name, full); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got := taking(name, quick); got != "nginx haproxy mqedge" {
			t.Errorf("%s, quick: %s", name, got)
		}
	}
}

func TestAQuickRunLeavesLongScenariosOutUnlessTheyAreNamed(t *testing.T) {
	chosen := func(args ...string) (names []string) {
		t.Helper()
		s, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		for _, sc := range s.chosen() {
			names = append(names, sc.name)
		}
		return names
	}
	if got := chosen(); !slices.Equal(got, names()) {
		t.Errorf("a full run measures %v", got)
	}
	quick := chosen("--quick")
	for name, want := range map[string]bool{"msg-tls-20k": true, "bulk-tls-up-8": true, "bulk-tls-up-1": false, "msg-tls-100c": false, "setup-rsa": true} {
		if slices.Contains(quick, name) != want {
			t.Errorf("%s in a quick run: %v", name, !want)
		}
	}
	if got := chosen("--quick", "--only", "bulk-tls-up-1"); !slices.Equal(got, []string{"bulk-tls-up-1"}) {
		t.Errorf("%v, want the one that is named", got)
	}
}

func TestEveryScenarioHasANameOfItsOwn(t *testing.T) {
	all := names()
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("%v", all)
	}
}
