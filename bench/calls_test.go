//go:build linux

package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/bench/report"
)

func TestWhatHookServersFindWrongMarksTheMeasurement(t *testing.T) {
	for seen, want := range map[string][]string{
		`{"calls":[1,2,3]}`:                         nil,
		`{"calls":[1,0,3]}`:                         {"hook server 2 of 3 got no call"},
		`{"calls":[1],"cancelled":2,"malformed":3}`: {"3 connections brought the hook servers malformed bytes", "2 calls to the hook servers were reset"},
	} {
		b := &bed{sink: &child{enc: json.NewEncoder(io.Discard), dec: json.NewDecoder(strings.NewReader(seen))}}
		var m report.Measurement
		if err := b.checkProviders(&m); err != nil || !slices.Equal(m.Remarks, want) {
			t.Errorf("%s: %q, %v; want %q", seen, m.Remarks, err, want)
		}
	}
}
