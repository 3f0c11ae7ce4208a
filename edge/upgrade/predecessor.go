package upgrade

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// mostSockets and mostState bound what a process believes it was given.
const (
	mostSockets = 4096
	mostState   = 256 << 20
)

// Predecessor is the process that this one takes the place of.
type Predecessor struct {
	State   []byte
	Sockets []*os.File

	answer   *os.File
	released chan struct{}
}

// Inherit takes what this process was given; nil if it takes nobody's place. It is called once, before any file is opened.
func Inherit() (*Predecessor, error) {
	text, found := os.LookupEnv(variable)
	if !found {
		return nil, nil
	}
	os.Unsetenv(variable)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > mostSockets {
		return nil, fmt.Errorf("the variable %s is %q: it is for upgrades alone, do not set it", variable, text)
	}
	state := os.NewFile(stateFD, "state")
	p := &Predecessor{answer: os.NewFile(answerFD, "answer"), released: make(chan struct{})}
	closeOnExec(stateFD)
	closeOnExec(answerFD)
	for i := range n {
		closeOnExec(firstSocketFD + i)
		p.Sockets = append(p.Sockets, os.NewFile(uintptr(firstSocketFD+i), "socket "+strconv.Itoa(i)))
	}
	in := bufio.NewReader(state)
	if p.State, err = readState(in); err != nil {
		return p, fmt.Errorf("what the process before has to say: %w", err)
	}
	go func() {
		defer close(p.released)
		io.Copy(io.Discard, in) // until it is closed, be it by the end of that process
		state.Close()
	}()
	return p, nil
}

func readState(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	size, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || size < 0 || size > mostState {
		return nil, fmt.Errorf("its length is %q", line)
	}
	state, err := io.ReadAll(io.LimitReader(in, int64(size)))
	if err == nil && len(state) < size {
		err = io.ErrUnexpectedEOF
	}
	return state, err
}

// Released is closed when the process before has let go of what there can be only one of, or has ended. A nil one has.
func (p *Predecessor) Released() <-chan struct{} {
	if p == nil {
		free := make(chan struct{})
		close(free)
		return free
	}
	return p.released
}

// Serve tells the process before that this one serves. Nil, it does nothing.
func (p *Predecessor) Serve() { p.say(serves) }

// Fail tells it that this one is not going to, and why. Nil, it does nothing.
func (p *Predecessor) Fail(why error) { p.say(failed + strconv.Quote(why.Error())) }

func (p *Predecessor) say(text string) {
	if p != nil && p.answer != nil {
		fmt.Fprintln(p.answer, text)
		p.answer.Close()
		p.answer = nil
	}
}
