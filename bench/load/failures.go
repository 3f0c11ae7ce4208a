package load

import (
	"errors"
	"maps"
	"net"
	"sync"
)

// failures counts errors by what they say, addresses left out.
type failures struct {
	mu    sync.Mutex
	count map[string]int
}

func (f *failures) add(err error) {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) {
		text = op.Op + ": " + op.Err.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = make(map[string]int)
	}
	f.count[text]++
}

func (f *failures) byError() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.count)
}
