package edge

import (
	"cmp"
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/discovery/gossip"
)

const (
	factTickets = "tickets"

	tendSecrets  = time.Minute
	meetFor      = 10 * time.Second // how long others are waited for that may have a secret
	secretsAhead = 6 * time.Hour    // when the secret of the next period is made, so that all have it in time
)

// shareTickets makes the secrets that ticket keys are derived from, unless others have, and uses those there are.
func (e *Edge) shareTickets(ctx context.Context, node *gossip.Node) {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		node.WatchShared(ctx, factTickets, func(facts []gossip.Fact) { e.secrets.Set(secretsOf(facts)) })
	})
	select {
	case <-ctx.Done():
	case <-node.Met():
	case <-time.After(meetFor):
	}
	for ctx.Err() == nil {
		for _, period := range missingSecrets(node.Shared(factTickets), time.Now()) {
			if !e.givesTickets() {
				break
			}
			if err := makeSecret(node, period, time.Now()); err != nil {
				e.log.Warn("no keys of session tickets are shared", "error", err)
			}
		}
		wait(ctx, tendSecrets/2+mathrand.N(tendSecrets))
	}
}

// givesTickets reports whether a listener would use shared secrets.
func (e *Edge) givesTickets() bool {
	g := e.current.Load()
	for name, l := range g.listeners {
		if l.certs != nil && g.config.Listeners[name].TLS.TicketKeysFile == "" {
			return true
		}
	}
	return false
}

// missingSecrets are the periods for which somebody has to make one now.
func missingSecrets(facts []gossip.Fact, now time.Time) (missing []int64) {
	current := certs.TicketPeriod(now)
	wanted := []int64{current}
	if next := current + 1; certs.PeriodStart(next).Sub(now) < secretsAhead {
		wanted = append(wanted, next)
	}
	known := secretsOf(facts)
	for _, period := range wanted {
		if !slices.ContainsFunc(known, func(s certs.SharedSecret) bool { return s.Period == period }) {
			missing = append(missing, period)
		}
	}
	return missing
}

// makeSecret shares a new one. It has a key of its own, so that of two that are made at the same time, or while members were apart, both
// go on to read tickets.
func makeSecret(node *gossip.Node, period int64, now time.Time) error {
	secret := make([]byte, 32)
	rand.Read(secret)                                    // never fails: see crypto/rand
	ends := certs.PeriodStart(period + 3).Add(time.Hour) // by then nobody's clock is in a period that reads with it
	return node.ShareSecret(factTickets, strconv.FormatInt(period, 10)+" "+node.Name(), secret, ends.Sub(now))
}

// secretsOf are the secrets in facts, in an order that is the same everywhere: the first of a period is the one that was made
// first, which most have had for longest.
func secretsOf(facts []gossip.Fact) []certs.SharedSecret {
	facts = slices.Clone(facts)
	slices.SortFunc(facts, func(a, b gossip.Fact) int {
		return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), strings.Compare(a.Key, b.Key))
	})
	var secrets []certs.SharedSecret
	for _, f := range facts {
		number, _, _ := strings.Cut(f.Key, " ")
		period, err := strconv.ParseInt(number, 10, 64)
		if err == nil && len(f.Value) == 32 {
			secrets = append(secrets, certs.SharedSecret{Period: period, Value: [32]byte(f.Value)})
		}
	}
	return secrets
}
