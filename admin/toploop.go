package admin

import (
	"context"
	"io"
	"strings"
	"time"
)

// TopOptions are what `mqedge top` is told.
type TopOptions struct {
	Client   *Client
	Out      io.Writer
	Interval time.Duration // between questions
	Colour   bool

	// Of a terminal in raw mode. Size is asked before each drawing, and Resized says when to draw anew.
	Keys    <-chan []byte
	Size    func() (width, height int)
	Resized <-chan struct{}
}

// What a terminal is told: another screen to draw on, without cursor and line wrap, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	beginFrame  = "\x1b[?2026h\x1b[H" // shown at once by terminals that can
	endFrame    = "\x1b[J\x1b[?2026l"
)

// Top draws on a terminal until the user has enough or ctx ends, and leaves the terminal as it was, but for raw mode.
// It is an error if the first question has no answer; later ones are shown.
func Top(ctx context.Context, o TopOptions) error {
	t := &top{}
	l := look{colour: o.Colour, keys: true, every: o.Interval}
	asked := make(chan *top, 1) // what a question came to
	var asking chan *top
	ctx, cancel := context.WithCancel(ctx)
	defer func() { // whoever has enough does not wait for an answer
		cancel()
		if asking != nil {
			<-asking
		}
	}()
	ask := func(now top) {
		asking = asked
		go func() {
			_ = now.ask(ctx, o.Client) // it is in now
			asked <- &now
		}()
	}
	for ask(*t); asking != nil; {
		select {
		case key, open := <-o.Keys:
			if !open || !l.press(key, 0) {
				return nil
			}
		case t = <-asking:
			asking = nil
		}
	}
	if t.err != nil {
		return t.err
	}
	if _, err := io.WriteString(o.Out, enterScreen); err != nil {
		return err
	}
	defer io.WriteString(o.Out, leaveScreen)
	next := time.NewTimer(o.Interval)
	defer next.Stop()
	clock := time.NewTicker(time.Second) // for how long there has been no answer
	defer clock.Stop()
	for {
		furthest, err := draw(o, t, l)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case key, open := <-o.Keys:
			if !open || !l.press(key, furthest) {
				return nil
			}
		case <-o.Resized:
		case <-clock.C:
		case <-next.C:
			ask(*t)
		case t = <-asking:
			asking = nil
			next.Reset(o.Interval)
		}
	}
}

func draw(o TopOptions, t *top, l look) (furthest int, err error) {
	l.width, l.height = o.Size()
	lines, furthest := t.screen(l, time.Now())
	_, err = io.WriteString(o.Out, beginFrame+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K"+endFrame)
	return furthest, err
}

// press does what the keys say; it is false when the user has enough. Several keys may come at once.
func (l *look) press(keys []byte, furthest int) bool {
	const page = 10
	l.scroll = min(l.scroll, furthest)
	for text := string(keys); text != ""; {
		known := false
		for key, move := range map[string]int{
			"\x1b[A": -1, "\x1b[B": 1, "\x1bOA": -1, "\x1bOB": 1, "\x1b[5~": -page, "\x1b[6~": page, "k": -1, "j": 1, " ": page,
			"\x1b[H": -furthest, "\x1b[F": furthest, "g": -furthest, "G": furthest,
		} {
			if rest, found := strings.CutPrefix(text, key); found {
				l.scroll = min(max(l.scroll+move, 0), furthest)
				text, known = rest, true
				break
			}
		}
		if known {
			continue
		}
		switch text[0] {
		case 'q', 'Q', 3, 4: // Ctrl-C, Ctrl-D
			return false
		case 's':
			l.order = (l.order + 1) % orders
		case 'r':
			l.reverse = !l.reverse
		case 'p':
			l.problems = !l.problems
		case 0x1b: // of a key that means nothing here
			return true
		}
		text = text[1:]
	}
	return true
}

// TopOnce asks twice, an interval apart, since rates need that, and writes one screen of that width.
func TopOnce(ctx context.Context, o TopOptions, width int) error {
	if width <= 0 {
		width = defaultWidth
	}
	t := &top{}
	if err := t.ask(ctx, o.Client); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(o.Interval):
	}
	if err := t.ask(ctx, o.Client); err != nil {
		return err
	}
	lines, _ := t.screen(look{width: width, colour: o.Colour}, time.Now())
	_, err := io.WriteString(o.Out, strings.Join(lines, "\n")+"\n")
	return err
}
