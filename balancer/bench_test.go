package balancer_test

import (
	"fmt"
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
			"none left":     func(p *balancer.Pool, _ []balancer.Endpoint) { p.Update(nil) },
		} {
			set := numbered(15)
			p := newPool(balancer.Options{Policy: policy, MaxFails: 1, FailTimeout: time.Hour}, set)
			last := pick(t, p)
			prepare(p, set)
			info := balancer.PickInfo{Avoid: []balancer.NodeID{last.ID()}}
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
				p := newPool(balancer.Options{Policy: policy, MaxFails: 3}, numbered(n))
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						l, err := p.Pick(balancer.PickInfo{})
						if err != nil {
							b.Error(err)
							return
						}
						l.Done(balancer.Served)
					}
				})
			})
		}
	}
}

// Endpoints with unlike loads, as in production: least_conn has equals to decide among, and one endpoint is ejected.
func BenchmarkPickLoaded(b *testing.B) {
	for _, policy := range policies {
		b.Run(string(policy)+"/1000", func(b *testing.B) {
			p := newPool(balancer.Options{Policy: policy, MaxFails: 1, FailTimeout: time.Hour}, numbered(1000))
			fill(b, p, 10_500)
			failAt(b, p, "10.0.0.3:1883", 1, nil)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					l, err := p.Pick(balancer.PickInfo{})
					if err != nil {
						b.Error(err)
						return
					}
					l.Done(balancer.Served)
				}
			})
		})
	}
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
