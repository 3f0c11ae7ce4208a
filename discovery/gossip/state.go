package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	biggestStateFile = 64 << 20

	// restoredGrace is how long a set out of the state file stays at least, for gossip to confirm it.
	restoredGrace = 30 * time.Second

	// worthSaving is how long a fact must last still: what holds for minutes is learnt anew, or is over.
	worthSaving = 15 * time.Minute
)

// savedState is the state file.
type savedState struct {
	Format  int           `json:"format"`
	Saved   time.Time     `json:"saved"`
	Members []savedMember `json:"members"`
	Sets    []savedSet    `json:"sets"`
	Facts   []savedFact   `json:"facts,omitempty"`
}

type savedMember struct {
	Name  string         `json:"name"`
	Addr  netip.AddrPort `json:"address"`
	Since time.Time      `json:"silent_since"` // of one that was alive, when the file was written
}

type savedSet struct {
	Origin    string       `json:"member"`
	Seq       uint64       `json:"sequence"`
	Heard     time.Time    `json:"heard"`
	Endpoints []savedOffer `json:"endpoints"`
}

type savedOffer struct {
	Service string            `json:"service"`
	Addr    netip.AddrPort    `json:"address"`
	Weight  uint32            `json:"weight"`
	Health  Health            `json:"health,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"`
}

// savedFact is a shared fact. Secrets are in no file: they go to a process that takes this one's place.
type savedFact struct {
	Kind    string    `json:"kind"`
	Key     string    `json:"key"`
	Value   []byte    `json:"value,omitempty"`
	Owner   string    `json:"member"`
	Stamp   uint64    `json:"stamp"`
	Until   time.Time `json:"until"`
	Deleted bool      `json:"deleted,omitempty"`
	Secret  bool      `json:"secret,omitempty"`
}

// restore takes what the state file knows as suspected, until gossip speaks. A file that is not good is logged and made anew:
// what is in it can be learnt again.
func (n *Node) restore() {
	saved, err := n.remembered()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		n.log.Warn("gossip cannot use its state file and begins without", "file", n.o.StateFile, "error", err)
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range saved.Members {
		if isName(m.Name) && m.Name != n.name && len(n.catalog.members) < mostMembers && now.Sub(m.Since) < forgetMember {
			n.catalog.members[m.Name] = &Member{Name: m.Name, Addr: m.Addr, Since: m.Since}
		}
	}
	for _, s := range saved.Sets {
		if n.catalog.sets[s.Origin] != nil || s.Seq == 0 || len(s.Endpoints) > mostAnnouncements || !isName(s.Origin) || s.Origin == n.name {
			continue
		}
		restored := &set{origin: s.Origin, seq: s.Seq, offers: make(map[place]offer)}
		restored.heard = later(s.Heard, now.Add(restoredGrace-n.o.SuspectLimit))
		if restored.heard.After(now) {
			restored.heard = now
		}
		for _, o := range s.Endpoints {
			a := Announcement{Service: o.Service, Weight: o.Weight, Health: o.Health, Tags: o.Tags, Facts: o.Facts}
			if a.check() == nil && o.Addr.IsValid() {
				p := place{o.Service, o.Addr}
				restored.offers[p] = offer{o.Service, o.Addr, max(o.Weight, 1), o.Health, o.Tags, o.Facts}
			}
		}
		if n.catalog.room(nil, s.Origin, len(restored.offers)) {
			n.catalog.replace(nil, restored)
		}
	}
	for _, f := range saved.Facts {
		if isName(f.Kind) && isText(f.Key, longestValue) && len(f.Value) <= biggestFact && isName(f.Owner) {
			n.facts.put(wireFact{kind: f.Kind, key: f.Key, value: f.Value, owner: f.Owner, stamp: f.Stamp, ttl: f.Until.Sub(now), deleted: f.Deleted, secret: f.Secret}, now)
		}
	}
	n.stir(now, 0)
}

// remembered is what the predecessor knew, or else the state file.
func (n *Node) remembered() (savedState, error) {
	if n.o.Predecessor.Known != nil {
		if saved, err := parseState(n.o.Predecessor.Known); err == nil || n.o.StateFile == "" {
			return saved, err
		}
	}
	return readState(n.o.StateFile)
}

func readState(file string) (savedState, error) {
	var saved savedState
	info, err := os.Stat(file)
	if err != nil {
		return saved, err
	}
	if info.Size() > biggestStateFile {
		return saved, fmt.Errorf("%d bytes: too large to be one", info.Size())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return saved, err
	}
	return parseState(data)
}

func parseState(data []byte) (savedState, error) {
	var saved savedState
	if err := json.Unmarshal(data, &saved); err != nil {
		return saved, err
	}
	if saved.Format != format {
		return saved, fmt.Errorf("format %d: want %d", saved.Format, format)
	}
	return saved, nil
}

// keepState writes the state file when something changed, and once more when ctx has ended.
func (n *Node) keepState(ctx context.Context) {
	ticker := time.NewTicker(saveInterval)
	defer ticker.Stop()
	var trouble string
	for {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		err := n.save()
		if err != nil && err.Error() != trouble {
			n.log.Warn("gossip cannot write its state file: a restart will not remember the endpoints", "file", n.o.StateFile, "error", err)
		}
		trouble = ""
		if err != nil {
			trouble = err.Error()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (n *Node) save() error {
	now := time.Now()
	n.mu.Lock()
	if !n.unsaved {
		n.mu.Unlock()
		return nil
	}
	n.unsaved = false
	saved := n.stateToSave(now, false)
	n.mu.Unlock()
	err := writeState(n.o.StateFile, saved)
	if err != nil {
		n.mu.Lock()
		n.unsaved = true
		n.mu.Unlock()
	}
	return err
}

// stateToSave leaves out what this node announces, and what is over. n.mu is held.
func (n *Node) stateToSave(now time.Time, secrets bool) savedState {
	saved := savedState{Format: format, Saved: now}
	for _, m := range n.catalog.members {
		if s := n.catalog.sets[m.Name]; m.Left || s != nil && n.catalog.superseded(s) {
			continue
		}
		since := m.Since
		if m.Alive {
			since = now
		}
		saved.Members = append(saved.Members, savedMember{m.Name, m.Addr, since})
	}
	for _, s := range n.catalog.sets {
		if s.left || n.catalog.superseded(s) {
			continue
		}
		out := savedSet{Origin: s.origin, Seq: s.seq, Heard: now.Add(-n.catalog.age(s, now))}
		for _, o := range s.offers { // of the same package: shared, and never changed
			out.Endpoints = append(out.Endpoints, savedOffer{o.service, o.addr, o.weight, o.health, o.tags, o.facts})
		}
		saved.Sets = append(saved.Sets, out)
	}
	for _, w := range n.facts.all(now, secrets) {
		if w.ttl >= worthSaving {
			saved.Facts = append(saved.Facts, savedFact{w.kind, w.key, w.value, w.owner, w.stamp, now.Add(w.ttl), w.deleted, w.secret})
		}
	}
	return saved
}

// writeState replaces the file as a whole: who reads it finds the old or the new one, whatever happens meanwhile.
func writeState(file string, saved savedState) error {
	data, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".gossip-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}
