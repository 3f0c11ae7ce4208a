package edge

import (
	"errors"
	"testing"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/gossip"
)

func TestAnOfferIsWhatItsChecksSay(t *testing.T) {
	good, bad, leaving := error(nil), errors.New("refused"), error(balancer.Draining{Reason: "evacuated"})
	for name, c := range map[string]struct {
		checks []error
		known  bool
		health gossip.Health
	}{
		"nothing is announced before a success":         {[]error{bad, bad, bad, bad}, false, gossip.Up},
		"one success is enough at first":                {[]error{bad, good}, true, gossip.Up},
		"one that drains says so itself":                {[]error{leaving}, true, gossip.Draining},
		"and is back at once":                           {[]error{leaving, good}, true, gossip.Up},
		"two failures are not enough":                   {[]error{good, bad, bad}, true, gossip.Up},
		"nor three that are not in a row":               {[]error{good, bad, bad, good, bad}, true, gossip.Up},
		"three in a row are":                            {[]error{good, bad, bad, bad}, true, gossip.Down},
		"one success does not bring it back":            {[]error{good, bad, bad, bad, good}, true, gossip.Down},
		"two do":                                        {[]error{good, bad, bad, bad, good, good}, true, gossip.Up},
		"nor do two that are not in a row":              {[]error{good, bad, bad, bad, good, bad, good}, true, gossip.Down},
		"one that drains and then fails is down as any": {[]error{leaving, bad, bad, bad}, true, gossip.Down},
	} {
		var s standing
		for _, err := range c.checks {
			s = s.after(err, 2, 3)
		}
		if s.known != c.known || s.health != c.health {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
