package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	firstRetry   = time.Second
	callAtOnce   = 8 // addresses called at the same time
	deadAtOnce   = 8 // dead members called in one round
	resolveLimit = 5 * time.Second

	// After it met the first member a node compares what it knows with somebody after settleFirst, and at twice the interval until
	// settleFor: when many start together, the few that one knows at first hear little, and memberlist's own exchanges come
	// minutes apart in a large cluster.
	settleFirst = 3 * time.Second
	settleFor   = time.Minute
)

// rejoin calls those who should be members and are not, until ctx ends: memberlist gives dead members up for good, so two sides
// of a network that was cut would never find each other again.
func (n *Node) rejoin(ctx context.Context) {
	retry := min(firstRetry, n.o.rejoin)
	settle := settleFirst
	var trouble string
	met := false
	for {
		called, err := n.call(ctx, settle > settleFirst && settle < settleFor)
		if !met {
			met = true
			close(n.met)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && err.Error() != trouble:
			trouble = err.Error()
			n.log.Warn("gossip cannot reach a member it was told to join", "error", err)
		case err == nil && called && trouble != "":
			trouble = ""
			n.log.Info("gossip reached the members it was told to join")
		}
		wait := n.o.rejoin
		if n.living.Load() == 0 {
			wait = retry
			retry = min(2*retry, n.o.rejoin)
		} else {
			retry = min(firstRetry, n.o.rejoin)
			if settle < settleFor {
				wait = min(wait, settle)
				settle *= 2
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait*3/4 + rand.N(wait/2+1)): // so that not all call at once
		}
	}
}

// call joins by way of all that are not members now, and of somebody who is if settling. The error is that of a configured address: that the dead do not answer
// is no news.
func (n *Node) call(ctx context.Context, settling bool) (called bool, err error) {
	n.mu.Lock()
	left := n.left
	n.mu.Unlock()
	if left {
		return false, nil
	}
	configured, err := n.configured(ctx)
	targets := append(configured, n.dead()...)
	if settling {
		targets = append(targets, n.anybody()...)
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		limit = make(chan struct{}, callAtOnce)
	)
	for i, target := range targets {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			if ctx.Err() != nil {
				return
			}
			_, failure := n.list.Join([]string{target.String()})
			mu.Lock()
			defer mu.Unlock()
			called = true
			if failure != nil && i < len(configured) && err == nil {
				err = joinError(target, failure)
			}
		})
	}
	wg.Wait()
	return called, err
}

// configured resolves Join and leaves out who is a member, or this node.
func (n *Node) configured(ctx context.Context) (targets []netip.AddrPort, err error) {
	for _, join := range n.o.Join {
		host, text, _ := net.SplitHostPort(join)
		port, _ := strconv.ParseUint(text, 10, 16)
		resolving, cancel := context.WithTimeout(ctx, resolveLimit)
		ips, failure := n.o.resolve(resolving, host)
		cancel()
		if failure != nil {
			err = fmt.Errorf("gossip.join %s: %w", join, failure)
			continue
		}
		for _, ip := range ips {
			addr := netip.AddrPortFrom(ip.Unmap(), uint16(port))
			if !n.isMember(addr) {
				targets = append(targets, addr)
			}
		}
	}
	return targets, err
}

func (n *Node) isMember(addr netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return addr == n.catalog.ownAddr || n.catalog.alive(n.catalog.at[addr])
}

// dead returns some of the members that died, and did not leave.
func (n *Node) dead() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	var dead []netip.AddrPort
	for _, m := range n.catalog.members { // in random order
		if len(dead) == deadAtOnce {
			break
		}
		if m.Alive || m.Left || n.catalog.succeeded(m) {
			continue
		}
		dead = append(dead, m.Addr)
	}
	return dead
}

// anybody is one of the members, or nobody.
func (n *Node) anybody() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.catalog.members { // in random order
		if m.Alive {
			return []netip.AddrPort{m.Addr}
		}
	}
	return nil
}

// joinError says what the usual mistakes look like from here.
func joinError(target netip.AddrPort, err error) error {
	text := err.Error()
	remedy := "is it running, and are TCP and UDP of that port open between the hosts?"
	switch {
	case strings.Contains(text, "decrypt"), strings.Contains(text, "ncrypt"):
		remedy = "is gossip.key_file the same on both hosts?"
	case strings.Contains(text, "EOF"), strings.Contains(text, "reset"):
		remedy = "it hung up: are gossip.label, gossip.key_file and gossip.allow the same on both hosts?"
	case strings.Contains(text, "protocol version"):
		remedy = "it is not mqedge, or of a version that this one cannot talk to"
	}
	if i := strings.LastIndex(text, target.String()+": "); i >= 0 {
		text = text[i+len(target.String())+2:]
	}
	return fmt.Errorf("gossip.join %s: %s; %s", target, strings.TrimSpace(text), remedy)
}
