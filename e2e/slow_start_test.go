package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnEndpointThatIsBackStartsSlowlyWhileOthersServe(t *testing.T) {
	t.Parallel()
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{balance: round_robin, slow_start: {connects_per_second: 1, for: 10m}, endpoints: %s}`,
		endpoints(a.address(), b.address())))
	crowd(t, e, 4)
	if got := shares(e); got[0] != 2 || got[1] != 2 {
		t.Fatalf("shares %v at the beginning, want 2 and 2: nobody is warm yet", got)
	}
	path := "/api/v1/upstreams/emqx/endpoints/" + b.address()
	e.call("POST", path+"/drain?keep=true")
	e.call("POST", path+"/enable")
	began := time.Now()
	crowd(t, e, 40)
	most := 2 + 1 + int(time.Since(began)/time.Second) + 1
	if got := shares(e); got[1] < 3 || got[1] > most || got[0]+got[1] != 44 {
		t.Errorf("shares %v, want 3 to %d for the one that is back and the rest for the other", got, most)
	}
	if reason := e.endpoint("emqx", b.address()).Reason; !strings.Contains(reason, "slow start: 1 connections/s for") {
		t.Errorf("reason %q", reason)
	}
	e.call("POST", "/api/v1/upstreams/emqx/endpoints/"+a.address()+"/drain?keep=true")
	before := shares(e)[1]
	crowd(t, e, 10)
	if got := shares(e); got[1] != before+10 {
		t.Errorf("shares %v: with nobody else it must take all of them", got)
	}
}
