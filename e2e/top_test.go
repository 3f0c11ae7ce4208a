package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// screen is `mqedge top` in a terminal of its own.
type screen struct {
	t      testing.TB
	cmd    *exec.Cmd
	pty    *os.File
	tty    *os.File
	before *term.State
	out    *output
}

func startTop(t testing.TB, e *edge, environment ...string) *screen {
	t.Helper()
	s := &screen{t: t, out: &output{}}
	var err error
	s.pty, s.tty, err = pty.Open()
	must(t, err)
	s.resize(100)
	s.before, err = term.GetState(int(s.tty.Fd()))
	must(t, err)
	s.cmd = exec.Command(mqedge, "top", "--admin", e.admin, "--interval", "100ms")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = s.tty, s.tty, s.tty
	s.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR="), environment...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, s.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(s.out, s.pty) // until nobody has the other side
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill() // unless it has ended
		s.tty.Close()
		<-read
		s.pty.Close()
	})
	return s
}

func (s *screen) resize(columns uint16) {
	s.t.Helper()
	must(s.t, pty.Setsize(s.pty, &pty.Winsize{Rows: 40, Cols: columns}))
}

func (s *screen) shows(text string) {
	s.t.Helper()
	eventually(s.t, func() string {
		if got := s.out.text(); !strings.Contains(got, text) {
			return fmt.Sprintf("%q is not in %q", text, got[max(0, len(got)-2000):])
		}
		return ""
	})
}

// ended checks that the terminal is as it was.
func (s *screen) ended() {
	s.t.Helper()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("mqedge top: %v", err)
	}
	after, err := term.GetState(int(s.tty.Fd()))
	must(s.t, err)
	if !reflect.DeepEqual(after, s.before) {
		s.t.Errorf("the terminal is %+v, and was %+v", after, s.before)
	}
	s.shows("\x1b[?25h\x1b[?1049l")
}

func TestTopWatchesAnEdgeInATerminalAndLeavesThatAsItWas(t *testing.T) {
	t.Parallel()
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(a.address(), b.address())))
	mustConnect(t, e.addr("mqtt"), nil, "one")

	s := startTop(t, e)
	s.shows(a.address())
	s.shows("\x1b[1mUPSTREAM emqx")
	s.shows("every 100ms")
	e.call("POST", "/api/v1/upstreams/emqx/endpoints/"+a.address()+"/drain?keep=true")
	s.shows("drained by hand")
	s.shows("endpoint drained by hand; its connections stay")
	s.resize(59)
	s.shows("↑↓ scro…")
	s.pty.WriteString("p")
	s.shows("1 without problems")
	s.pty.WriteString("q")
	s.ended()

	killed := startTop(t, e, "NO_COLOR=1")
	killed.shows(b.address())
	if strings.Contains(killed.out.text(), "\x1b[1m") {
		t.Error("there is colour in spite of NO_COLOR")
	}
	must(t, killed.cmd.Process.Signal(syscall.SIGTERM))
	killed.ended()

	interrupted := startTop(t, e)
	interrupted.shows(b.address())
	interrupted.pty.WriteString("\x03") // Ctrl-C
	interrupted.ended()
}

func TestTopPrintsOneScreenWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(startFake(t, acknowledge).address())))
	out, errs, code := run(t, "top", "--admin", e.admin, "--interval", "100ms")
	if code != 0 || errs != "" || strings.Contains(out, "\x1b") || !containsAll(out, []string{"ready", "UPSTREAM emqx", "LISTENER", "EVENTS", "serving"}) {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if _, errs, code := run(t, "top", "--interval", "1ms"); code != 2 || !strings.Contains(errs, "write 100ms or more") {
		t.Errorf("%d %s", code, errs)
	}
	if _, errs, code := run(t, "top", "--admin", deadAddress(t)); code != 1 || !strings.Contains(errs, "is mqedge running") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestWhatHappensIsAnEventAndTheHistoryHasIt(t *testing.T) {
	t.Parallel()
	a := startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(a.address())))
	d := mustConnect(t, e.addr("mqtt"), nil, "one")
	e.hup()
	e.call("POST", "/api/v1/upstreams/emqx/endpoints/"+a.address()+"/drain?keep=true")
	e.configure("listeners: nonsense\n")
	e.hup()
	type list struct {
		Last   int `json:"last_id"`
		Events []struct {
			ID, Count   int
			Level, Text string
			Attributes  []struct{ Name, Value string }
		}
	}
	all := fetch[list](e, "/api/v1/events")
	var texts []string
	for _, event := range all.Events {
		texts = append(texts, event.Level+" "+event.Text)
	}
	if !containsAll(strings.Join(texts, "\n"), []string{"info reloaded", "info endpoint drained by hand", "error reload failed"}) {
		t.Errorf("the events are %q", texts)
	}
	if rest := fetch[list](e, fmt.Sprintf("/api/v1/events?since=%d", all.Last)); len(rest.Events) != 0 {
		t.Errorf("after the last: %+v", rest)
	}
	if status, body, _ := e.request("GET", "/api/v1/events?since=x", ""); status != 400 || !strings.Contains(body, "since") {
		t.Errorf("%d %s", status, body)
	}
	eventually(t, func() string {
		h := fetch[struct {
			Listeners []struct{ Active []*float64 }
			Upstreams []struct{ Connections []*float64 }
		}](e, "/api/v1/history")
		if len(h.Listeners) == 1 && len(h.Upstreams) == 1 {
			n := len(h.Listeners[0].Active)
			if active := h.Listeners[0].Active[n-1]; active != nil && *active == 1 && *h.Upstreams[0].Connections[n-1] == 1 {
				return ""
			}
		}
		return fmt.Sprintf("the history is %+v", h)
	})
	must(t, d.ping())
}
