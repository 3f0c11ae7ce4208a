package hook

// Interest is what one provider registered, made ready for every call. It does not change, so any number of goroutines may ask it at once. The zero
// value, and nil, are those of a provider that wants nothing.
type Interest struct {
	filters [hookCount]*Filters // nil: not this hook
}

// NewInterest takes a provider's answer to OnProviderLoaded as Merge does.
func NewInterest(v Version, specs []Spec) *Interest {
	hooks, _ := read(v, Answer{Specs: specs})
	i := &Interest{}
	for h, w := range hooks {
		if w.is {
			i.filters[h] = Compile(w.topics)
		}
	}
	return i
}

// Wants reports whether the provider is to get a call. The topic matters to message hooks only. Loading calls, which go to every provider, are never
// wanted. It does not allocate.
func (i *Interest) Wants(h Hook, topic []byte) bool {
	return i != nil && h < hookCount && i.filters[h] != nil && i.filters[h].Match(topic)
}
