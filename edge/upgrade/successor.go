package upgrade

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variable tells a process that it takes another's place, and how many sockets it gets.
const variable = "MQEDGE_UPGRADE"

// What a process is given after the standard files.
const (
	stateFD = 3 + iota
	answerFD
	firstSocketFD
)

// The words of the answer. The second is followed by why.
const (
	serves = "serves"
	failed = "failed: "
)

// mostAnswer bounds what is read of an answer.
const mostAnswer = 16 << 10

// Options say what to start.
type Options struct {
	Path    string   // of the program
	Args    []string // without the program
	State   []byte
	Sockets []*os.File
	Without []string // variables of the environment that it must not get
}

// Successor is the new process.
type Successor struct {
	cmd    *exec.Cmd
	state  *os.File // our end
	answer *os.File
	ended  chan struct{} // closed when the process has
}

// Start starts the new process, which reads and writes where this one does. [Successor.Serves] is owed. The sockets stay the
// caller's.
func Start(o Options) (*Successor, error) {
	stateOut, stateIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stateOut.Close()
	answerOut, answerIn, err := os.Pipe()
	if err != nil {
		stateIn.Close()
		return nil, err
	}
	defer answerIn.Close()
	s := &Successor{cmd: exec.Command(o.Path, o.Args...), state: stateIn, answer: answerOut, ended: make(chan struct{})}
	s.cmd.Args[0] = os.Args[0] // as the system shows it
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	s.cmd.Env = append(environment(append(o.Without, variable)), variable+"="+strconv.Itoa(len(o.Sockets)))
	s.cmd.ExtraFiles = append([]*os.File{stateOut, answerIn}, o.Sockets...)
	if err := s.cmd.Start(); err != nil {
		stateIn.Close()
		answerOut.Close()
		return nil, err
	}
	go func() {
		defer close(s.ended)
		s.cmd.Wait() // how it ended is in ProcessState
	}()
	go func() { // the pipe may be too small for it
		fmt.Fprintf(stateIn, "%d\n", len(o.State))
		stateIn.Write(o.State) // who ends before it has read all of it says why, or its exit code does
	}()
	return s, nil
}

func environment(without []string) []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(without, name)
	})
}

// Pid is that of the new process.
func (s *Successor) Pid() int { return s.cmd.Process.Pid }

// Serves waits until the new process serves. Otherwise it says why that one does not, and has ended it; the same when ctx ends
// first.
func (s *Successor) Serves(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.cmd.Process.Kill()
		s.answer.SetReadDeadline(time.Now()) // a program that it started may have the pipe, too
	})
	text, err := bufio.NewReader(io.LimitReader(s.answer, mostAnswer)).ReadString('\n')
	s.answer.Close()
	if stop() && err == nil && text == serves+"\n" {
		return nil
	}
	s.Abandon()
	why, told := strings.CutPrefix(text, failed)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the new process did not serve in time, or was not waited for: %w", context.Cause(ctx))
	case told:
		if unquoted, err := strconv.Unquote(strings.TrimSpace(why)); err == nil {
			why = unquoted
		}
		return errors.New(why)
	}
	return fmt.Errorf("the new process ended before it served (%s); what it wrote says why", s.cmd.ProcessState)
}

// Abandon ends the new process, whatever it does.
func (s *Successor) Abandon() {
	s.cmd.Process.Kill()
	<-s.ended
	s.state.Close()
}

// Release tells a process that serves that what there can be only one of is free now.
func (s *Successor) Release() { s.state.Close() }

// Ended is closed when the new process has.
func (s *Successor) Ended() <-chan struct{} { return s.ended }

// End says how a new process ended that has.
func (s *Successor) End() string { return s.cmd.ProcessState.String() }
