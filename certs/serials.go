package certs

import (
	"bytes"
	"slices"
	"sort"
)

// serials is a set of serial numbers that takes no more memory than their bytes: for each length the numbers of that
// length, end to end, sorted once all are added. A map would take some 80 bytes for each.
type serials struct {
	byLength map[int][]byte
}

// add takes a copy. The set has to be compacted before it is asked.
func (s *serials) add(serial []byte) {
	s.byLength[len(serial)] = append(s.byLength[len(serial)], serial...)
}

func (s *serials) compact() {
	for length, numbers := range s.byLength {
		if length == 0 { // the number zero
			continue
		}
		sort.Sort(&records{numbers, length, make([]byte, length)})
		s.byLength[length] = slices.Clip(bytes.Clone(numbers)) // gives back what append had in reserve
	}
}

func (s *serials) has(serial []byte) bool {
	numbers, ok := s.byLength[len(serial)]
	if !ok || len(serial) == 0 {
		return ok
	}
	all := records{bytes: numbers, length: len(serial)}
	_, found := sort.Find(all.Len(), func(i int) int { return bytes.Compare(serial, all.at(i)) })
	return found
}

// records sorts byte strings of one length that lie end to end.
type records struct {
	bytes   []byte
	length  int
	swapped []byte // room for one
}

func (r *records) at(i int) []byte    { return r.bytes[i*r.length : (i+1)*r.length] }
func (r *records) Len() int           { return len(r.bytes) / r.length }
func (r *records) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }
func (r *records) Swap(i, j int) {
	copy(r.swapped, r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), r.swapped)
}
