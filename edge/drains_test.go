package edge

import (
	"testing"
	"time"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/discovery/gossip"
)

func TestADrainIsHeardAsItWasSaid(t *testing.T) {
	hour, none := time.Hour, time.Duration(0)
	for name, c := range map[string]struct {
		how  admin.Drain
		want handDrain
	}{
		"as each edge does it": {admin.Drain{}, handDrain{}},
		"over an hour":         {admin.Drain{Over: &hour}, handDrain{over: hour, paced: true}},
		"at once":              {admin.Drain{Over: &none}, handDrain{paced: true}},
		"keeping clients":      {admin.Drain{Keep: true}, handDrain{keep: true}},
	} {
		c.want.word, c.want.reason = 7, "drained by hand on edge-2"
		if got := hearDrain(gossip.Fact{Value: sayDrain(c.how), Owner: "edge-2~abc", Stamp: 7}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzSharedDrain(f *testing.F) {
	f.Add("emqx 10.0.0.1:1883", []byte(`{"over":"30s","keep":true}`))
	f.Add("two words [::1]:1883", []byte(`{"over":"-1s"}`))
	f.Add("", []byte(`{"over":3}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if p, ok := placeOf(key); ok && p.key() != key {
			t.Errorf("%q became %q", key, p.key())
		}
		if d := hearDrain(gossip.Fact{Key: key, Value: value, Owner: key}); d.over < 0 || d.over > 0 && !d.paced {
			t.Errorf("%q: %+v", value, d)
		}
	})
}
