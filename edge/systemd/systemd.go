// Package systemd is what a service and systemd tell each other: sockets and a watchdog's interval from systemd, the state of
// the service to it. Where there is no systemd everything does nothing.
//
// The protocols are those of sd_notify(3) and sd_listen_fds(3), spoken by coreos/go-systemd.
package systemd

import (
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// Private are the variables that are for this process alone, not for one that takes its place: they name its process id.
var Private = [...]string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "WATCHDOG_PID"}

// Sockets are those that systemd passed, by the names that it gave them. It is called once, before any file is opened.
func Sockets() []*os.File { return activation.Files(true) }

// Watchdog is how long systemd waits for [Notifier.Alive] before it takes the service for dead; 0 is for ever.
func Watchdog() (time.Duration, error) {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("WATCHDOG_USEC: %w", err)
	}
	return d, nil
}

// Notified reports whether systemd listens.
func Notified() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Notifier tells systemd how the service does. The zero value is ready for use; its methods may be called from any goroutine.
type Notifier struct {
	// Failed hears that systemd could not be told. Nil: nobody does.
	Failed func(error)
}

// Ready says that the service serves, or serves again after Reloading.
func (n Notifier) Ready(status string) { n.tell("READY=1\nSTATUS=" + status) }

// Reloading says that the configuration is being loaded again; Ready ends it, whatever came of it.
func (n Notifier) Reloading() {
	n.tell("RELOADING=1\n" + daemon.SdNotifyMonotonicUsec() + "STATUS=reloading")
}

// Stopping says that the service ends, within the time given.
func (n Notifier) Stopping(within time.Duration, status string) {
	n.tell(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d\nSTATUS=%s", within.Microseconds(), status))
}

// Successor says that another process is the service's now. From then on systemd listens to that one.
func (n Notifier) Successor(pid int) { n.tell(fmt.Sprintf("MAINPID=%d", pid)) }

// Status is a line for people.
func (n Notifier) Status(status string) { n.tell("STATUS=" + status) }

// Alive is for the watchdog.
func (n Notifier) Alive() { n.tell(daemon.SdNotifyWatchdog) }

func (n Notifier) tell(text string) {
	if _, err := daemon.SdNotify(false, text); err != nil && n.Failed != nil {
		n.Failed(err)
	}
}
