package gossip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/hashicorp/memberlist"
)

const (
	mostKeys   = 8
	keysRemedy = "write one key a line, each the output of `mqedge keygen`, the same on every host"
)

func loadKeys(file string) ([][]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err
		}
		return nil, fmt.Errorf("gossip.key_file %s: %w; make one with: mqedge keygen > %s", file, err, file)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("gossip.key_file %s: %w; %s", file, err, keysRemedy)
	}
	return keys, nil
}

// parseKeys says nothing of what a line holds: errors are logged.
func parseKeys(data []byte) ([][]byte, error) {
	var keys [][]byte
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		key, err := base64.StdEncoding.AppendDecode(nil, line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: not base64", number)
		case memberlist.ValidateKey(key) != nil:
			return nil, fmt.Errorf("line %d: %d bytes instead of 32 (or 16 or 24)", number, len(key))
		case len(keys) == mostKeys:
			return nil, fmt.Errorf("line %d: more than %d keys", number, mostKeys)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it")
	}
	return keys, nil
}

// useKeys makes the ring hold these keys, the first in front, and no others.
//
// memberlist reads a slice that Keyring.RemoveKey changes in place, unless it removes the last key. UseKey makes a new
// slice and moves its key to the front. So all keys that stay are moved to the front, in order, and the others are removed from
// the end. Meanwhile another of our keys may encrypt for a moment.
func useKeys(ring *memberlist.Keyring, keys [][]byte) error {
	for _, key := range keys {
		if err := ring.AddKey(key); err != nil {
			return err
		}
	}
	for _, key := range slices.Backward(keys) {
		if err := ring.UseKey(key); err != nil {
			return err
		}
	}
	stay := func(key []byte) bool {
		return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	for _, key := range slices.Backward(slices.Clone(ring.GetKeys())) {
		if stay(key) {
			break
		}
		if err := ring.RemoveKey(key); err != nil {
			return err
		}
	}
	return nil
}
