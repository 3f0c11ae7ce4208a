package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	stateFormat = 1
	mostState   = 32 << 20 // bytes
)

// State is what outlives the process: EMQX does not ask again for what it was answered.
type State struct {
	Versions map[Version]Answers
	Nodes    Nodes
}

// Answers are those of one version.
type Answers struct {
	Merged []Spec `json:"merged"` // of all providers, when last they answered
	Known  []Spec `json:"known"`  // what EMQX was answered, and so calls
}

// StateError is a state file that cannot be used. Its text names the file and what to do.
type StateError struct {
	File   string
	Err    error
	Remedy string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("state file %s: %v: %s", e.File, e.Err, e.Remedy)
}

func (e *StateError) Unwrap() error { return e.Err }

// stateFile is the file's form.
type stateFile struct {
	Format   int                `json:"format"`
	Versions map[string]Answers `json:"versions"`
	Nodes    []stateNode        `json:"nodes"`
}

// stateNode is a Loaded. What its request says comes from the request; the name is for the reader.
type stateNode struct {
	Version string `json:"version"`
	Node    string `json:"node"`
	Request []byte `json:"request"`
}

// LoadState reads a state file. One that does not exist yet is an empty state. Any other error is a *StateError, and the state is empty then too: a caller
// that logs the error may go on as if there were no file.
func LoadState(file string) (State, error) {
	data, err := readState(file)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, &StateError{file, bare(err), "let the user that mqedge runs as read it"}
	}
	s, err := ParseState(data)
	if err != nil {
		return State{}, &StateError{file, err, "remove it; mqedge writes it anew when a provider answers OnProviderLoaded"}
	}
	return s, nil
}

// Save writes the file so that a crash leaves either the old one or the new one whole. Its errors are *StateError.
func (s State) Save(file string) error {
	data, err := s.Encode()
	if err != nil {
		return &StateError{file, err, "report this"}
	}
	if len(data) >= mostState {
		return &StateError{file, fmt.Errorf("%d bytes are more than its limit of %d", len(data), mostState), "register fewer topic filters"}
	}
	if err := replace(file, append(data, '\n')); err != nil {
		return &StateError{file, bare(err), "give it a folder of its own that the user mqedge runs as can write in; in a container mount the folder, not the file"}
	}
	return nil
}

// Encode is what the file holds.
func (s State) Encode() ([]byte, error) {
	f := stateFile{Format: stateFormat, Versions: map[string]Answers{}, Nodes: []stateNode{}}
	for v, a := range s.Versions {
		f.Versions[v.String()] = a
	}
	for _, n := range s.Nodes.all {
		f.Nodes = append(f.Nodes, stateNode{n.Version.String(), n.Broker.Node, n.Request})
	}
	return json.MarshalIndent(f, "", " ")
}

func readState(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, mostState+1))
}

// ParseState reads what Encode made.
func ParseState(data []byte) (State, error) {
	if len(data) > mostState {
		return State{}, fmt.Errorf("larger than %d bytes", mostState)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return State{}, errors.New("empty")
	}
	var f stateFile
	if err := json.Unmarshal(data, &f); err != nil {
		return State{}, err
	}
	if f.Format != stateFormat {
		return State{}, fmt.Errorf("format %d is not %d, the one this version writes", f.Format, stateFormat)
	}
	s := State{Versions: map[Version]Answers{}}
	for name, a := range f.Versions {
		v, ok := ParseVersion(name)
		if !ok {
			return State{}, fmt.Errorf("%q is no version of the protocol", name)
		}
		var err error
		if a.Merged, err = canonical(v, a.Merged); err == nil {
			a.Known, err = canonical(v, a.Known)
		}
		if err != nil {
			return State{}, err
		}
		s.Versions[v] = a
	}
	for i, n := range f.Nodes {
		v, ok := ParseVersion(n.Version)
		if ok {
			_, ok = s.Nodes.Loaded(v, n.Request)
		}
		if !ok {
			return State{}, fmt.Errorf("nodes[%d] is not an OnProviderLoaded", i)
		}
	}
	return s, nil
}

// canonical is what Merge would make of specs, none of which may be wrong.
func canonical(v Version, specs []Spec) ([]Spec, error) {
	specs, notes := Merge(v, []Answer{{Specs: specs}})
	if len(notes) > 0 {
		return nil, fmt.Errorf("%q: %s", notes[0].Hook, notes[0].Text)
	}
	return specs, nil
}

func replace(file string, data []byte) error {
	dir := filepath.Dir(file)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails when all went well: it has another name then
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close()) // the new name too is on the disk then
}

// bare is what the system says of a file, without the file's name.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
