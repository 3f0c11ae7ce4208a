package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/bench/report"
)

func TestThePictureIsWellFormedAndHasABarAWhiskerAndAFigureForEachPeer(t *testing.T) {
	r := example()
	r.Scenarios[0].Title = "CPU <&> message"
	r.Scenarios = append(r.Scenarios, report.Scenario{Name: "nothing came of it"})
	var b strings.Builder
	if err := r.SVG(&b); err != nil {
		t.Fatal(err)
	}
	elements, said := make(map[string]int), make(map[string]int)
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, b.String())
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements[token.Name.Local]++
		case xml.CharData:
			said[string(token)]++
		}
	}
	if elements["rect"] != 8 || elements["path"] != 8 {
		t.Errorf("%d bars and %d whiskers, want 8", elements["rect"], elements["path"])
	}
	for text, want := range map[string]int{
		"msg": 1, "CPU <&> message, µs": 1, "mqedge": 2, "20.0": 1, "10.0": 1, "0.500": 1, "no figure": 1, "nginx: nginx/1.22.1": 1, "nothing came of it": 0,
	} {
		if said[text] != want {
			t.Errorf("%q is there %d times, want %d, in:\n%s", text, said[text], want, b.String())
		}
	}
}

func TestAPictureOfNothingIsStillOne(t *testing.T) {
	var b strings.Builder
	if err := (report.Report{}).SVG(&b); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(b.String()), new(struct{})); err != nil {
		t.Error(err)
	}
}
