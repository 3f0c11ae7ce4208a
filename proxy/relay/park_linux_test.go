package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestParkWaitsForWakeForTheSocketOrForAbort(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := newRelay(t, loops)
		stopped := running(t, r)
		parked := make(chan *Conn, 1)
		returned := make(chan error, 10)
		until := make(chan func(*Conn) bool, 1) // whether it is what was waited for
		addr, stop := serveStrands(t, r, func(c *Conn) {
			defer c.Close()
			is := <-until
			parked <- c
			for {
				err := c.Park()
				if err != nil || is(c) {
					returned <- err
					return
				}
			}
		})

		woken := make(chan struct{})
		until <- func(*Conn) bool {
			select {
			case <-woken:
				return true
			default:
				return false
			}
		}
		dialled(t, addr)
		c := <-parked
		c.Wake() // for nothing: it looks and parks again
		close(woken)
		c.Wake()
		if err := <-returned; err != nil {
			t.Errorf("%d loops: woken, %v", loops, err)
		}
		c.Wake() // too late, which does no harm

		until <- (*Conn).Left
		client := dialled(t, addr)
		<-parked
		client.Write([]byte("hello")) // happens, but is not what is waited for
		client.Close()
		if err := <-returned; err != nil {
			t.Errorf("%d loops: left, %v", loops, err)
		}

		until <- func(*Conn) bool { return false }
		dialled(t, addr)
		(<-parked).Abort()
		if err := <-returned; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d loops: aborted, %v", loops, err)
		}
		stop()
		stopped()
	}
}

func TestWhatComesWhileItIsParkedIsReadAfterwards(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := newRelay(t, loops)
		stopped := running(t, r)
		addr, stop := serveStrands(t, r, func(c *Conn) {
			defer c.Close()
			c.Write([]byte("x"))
			if err := c.Park(); err != nil {
				t.Error(err)
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("%d loops: %q, %v", loops, got, err)
			}
		})
		client := dialled(t, addr)
		io.ReadFull(client, make([]byte, 1))
		client.Write([]byte("hello"))
		io.Copy(io.Discard, client)
		stop()
		stopped()
	}
}

func TestAFullHandshakeMayWaitBeyondItsDeadlineIfItSetsAnother(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	for _, loops := range []int{0, 1} {
		for _, extend := range []bool{true, false} {
			r := newRelay(t, loops)
			stopped := running(t, r)
			waits, passed, result := make(chan *Conn, 1), make(chan struct{}), make(chan error, 1)
			addr, stop := serveStrands(t, r, func(c *Conn) {
				defer c.Close()
				c.SetDeadline(time.Now().Add(300 * time.Millisecond))
				secure, _, err := r.Handshake(c, config, func() error {
					waits <- c
					for {
						if err := c.Park(); err != nil {
							return err
						}
						select {
						case <-passed:
							if extend {
								c.SetDeadline(time.Now().Add(10 * time.Second))
							}
							return nil
						default:
						}
					}
				})
				if err == nil {
					_, err = io.WriteString(secure, "hello")
				}
				result <- err
			})
			answers := make(chan struct{})
			if extend {
				close(answers)
			}
			client := tls.Client(&reluctant{Conn: dialled(t, addr), until: answers}, &tls.Config{InsecureSkipVerify: true})
			shaken := make(chan error, 1)
			go func() { shaken <- client.Handshake() }()
			c := <-waits
			<-time.After(600 * time.Millisecond) // the deadline passes
			close(passed)
			c.Wake()
			err := <-result
			if extend && err != nil || !extend && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d loops, another deadline %v: %v", loops, extend, err)
			}
			if !extend {
				close(answers)
			}
			<-shaken
			stop()
			stopped()
		}
	}
}

// reluctant is a client that says nothing after its ClientHello until it may: what
// is there when the deadline has passed would still be read.
type reluctant struct {
	net.Conn
	until <-chan struct{}
	said  bool
}

func (c *reluctant) Write(p []byte) (int, error) {
	if c.said {
		<-c.until
	}
	c.said = true
	return c.Conn.Write(p)
}
