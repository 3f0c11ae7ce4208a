package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

func TestPickAllocatesNothing(t *testing.T) {
	for _, policy := range policies {
		for name, prepare := range map[string]func(*balancer.Pool, []balancer.Endpoint){
			"all available": func(*balancer.Pool, []balancer.Endpoint) {},
			"some ejected":  func(p *balancer.Pool, _ []balancer.Endpoint) { failAt(t, p, p.Status().Endpoints[3].Address, 1, nil) },
			"all ejected":   func(p *balancer.Pool, _ []balancer.Endpoint) { ejectAll(t, p) },
			"all starting": func(p *balancer.Pool, set []balancer.Endpoint) {
				p.Update(nil)
				o := balancer.Options{Policy: policy, SlowStart: balancer.SlowStart{ConnectsPerSecond: 1000, For: time.Nanosecond}}
				p.Configure(o)
				p.Update(set)
				o.SlowStart.For = time.Hour
				p.Configure(o)
				p.Update(nil)
				p.Update(set)
			},
			"loaded":    func(p *balancer.Pool, _ []balancer.Endpoint) { fill(t, p, 1500) },
			"none left": func(p *balancer.Pool, _ []balancer.Endpoint) { p.Update(nil) },
		} {
			set := numbered(15)
			p := newPool(balancer.Options{Policy: policy, MaxFails: 1, FailTimeout: time.Hour}, set)
			last := pick(t, p)
			prepare(p, set)
			info := balancer.PickInfo{Key: 1, Avoid: []balancer.NodeID{last.ID()}}
			if allocs := testing.AllocsPerRun(1000, func() {
				l, _ := p.Pick(info)
				l.Done(balancer.Broken)
			}); allocs != 0 {
				t.Errorf("%s, %s: %v allocations for a pick", policy, name, allocs)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, policy := range policies {
		for _, n := range []int{3, 15, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				pickAndServe(b, newPool(balancer.Options{Policy: policy, MaxFails: 3}, numbered(n)))
			})
		}
	}
}

// Endpoints with unlike loads and weights, as in production: least_conn has equals to decide among, hash has to look
// whether its choice is hot, and one endpoint is ejected.
func BenchmarkPickLoaded(b *testing.B) {
	for _, policy := range policies {
		for _, n := range []int{3, 100, 1000} {
			for _, weights := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%d/%d weights", policy, n, weights), func(b *testing.B) {
					set := numbered(n)
					for i := range set {
						set[i].Weight = uint32(1 + i%weights)
					}
					p := newPool(balancer.Options{Policy: policy, MaxFails: 1, FailTimeout: time.Hour}, set)
					fill(b, p, 105*n)
					failAt(b, p, "10.0.0.2:1883", 1, nil)
					pickAndServe(b, p)
				})
			}
		}
	}
}

func pickAndServe(b *testing.B, p *balancer.Pool) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for key := rand.Uint64(); pb.Next(); key += 2 {
			l, err := p.Pick(balancer.PickInfo{Key: balancer.Key(key | 1)})
			if err != nil {
				b.Error(err)
				return
			}
			l.Done(balancer.Served)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	for _, weights := range []string{"equal", "mixed"} {
		for _, policy := range policies {
			b.Run(fmt.Sprintf("%s/%s/10000", policy, weights), func(b *testing.B) {
				set := numbered(10_000)
				for i := range set {
					if weights == "mixed" {
						set[i].Weight = uint32(1 + i*7919%65_521)
					}
				}
				p := newPool(balancer.Options{Policy: policy}, set)
				b.ReportAllocs()
				for b.Loop() {
					p.Update(set)
				}
			})
		}
	}
}
