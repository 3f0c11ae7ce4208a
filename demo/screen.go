package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// screen writes what is said one below the other and keeps a table below it:
// redrawn in place on a terminal, printed anew each time elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	started  time.Time
	gone     func() // called when writing fails

	mu    sync.Mutex
	table []string // on the terminal now
}

func newScreen(out io.Writer, gone func()) *screen {
	s := &screen{out: out, terminal: isTerminal(out), started: time.Now(), gone: gone}
	if s.terminal {
		s.write("\x1b[?25l") // no cursor
	}
	return s
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// say writes what happened, with the time.
func (s *screen) say(format string, args ...any) {
	at := fmt.Sprintf("%6.1fs  ", time.Since(s.started).Seconds())
	s.print(wrap(at, fmt.Sprintf(format, args...))...)
}

// print writes lines above the table.
func (s *screen) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(s.erased() + strings.Join(lines, "\n") + "\n" + s.drawn())
}

// show replaces the table.
func (s *screen) show(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		s.write("\n" + strings.Join(lines, "\n") + "\n\n")
		return
	}
	erased := s.erased()
	s.table = append([]string{""}, lines...)
	s.write(erased + s.drawn())
}

// close takes the table away and gives the cursor back.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.write(s.erased() + "\x1b[?25h")
		s.table = nil
	}
}

// erased takes the table from the terminal.
func (s *screen) erased() string {
	if len(s.table) == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", len(s.table))
}

// drawn puts it there, without wrapping: each line is one on the terminal,
// however narrow that is.
func (s *screen) drawn() string {
	if len(s.table) == 0 {
		return ""
	}
	return "\x1b[?7l" + strings.Join(s.table, "\n") + "\n\x1b[?7h"
}

func (s *screen) write(text string) {
	if s.terminal {
		text = strings.NewReplacer("●", green("●"), "✓", green("✓"), "○", red("○"), "✗", red("✗")).Replace(text)
	}
	if _, err := io.WriteString(s.out, text); err != nil {
		s.gone()
	}
}

func green(s string) string { return "\x1b[32m" + s + "\x1b[0m" }
func red(s string) string   { return "\x1b[31m" + s + "\x1b[0m" }
