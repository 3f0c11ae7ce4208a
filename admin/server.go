package admin

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source hands over snapshots. What it returns is not changed afterwards by either side; its order is the answer's.
type Source interface {
	Listeners() []Listener
	Upstreams() []Upstream
	Members() []Member
	Announcements() Announcements
	Certificates() []Certificate
	// Connections says how many match, and gives up to the filter's limit of them, as they are at that moment.
	Connections(ConnectionFilter) (total int, some iter.Seq[Connection])
	Events(since uint64) EventList // those with a greater id; all when since is 0 or was never reached
	History(since uint64) History  // the samples after that number; likewise
	Config() []byte                // the configuration in effect, as YAML
	Ready() (bool, string)         // and, when not, why
}

// Control changes the running process. Calls may come at once.
type Control interface {
	// Reload reads the configuration again. On error nothing changed, and each line of the error's text is one problem,
	// as errors.Join writes them. It must not wait for the admin server that called it to end.
	Reload(context.Context) error
	// Drain takes an endpoint out of use for new connections and begins to move its clients away.
	Drain(upstream, endpoint string, how Drain) error
	// Enable puts an endpoint back into use; clients that are not moved away yet stay.
	// Local is on this edge alone.
	Enable(upstream, endpoint string, local bool) error
	// DrainsOn says in words where Drain and Enable hold, or "" where there is only one edge.
	DrainsOn(local bool) string
	// Kick closes the connections of an MQTT client and says how many there were.
	Kick(clientID string) int
}

// Options configure a Server. TokenFile and Logger may be left out.
type Options struct {
	Source    Source
	Control   Control
	Gatherer  prometheus.Gatherer
	Version   Version
	TokenFile string       // holds the bearer token of changing calls; read anew for each, so it can be rotated
	Logger    *slog.Logger // nil = slog.Default()
}

// Server serves the admin address.
type Server struct {
	o     Options
	grace time.Duration // what requests under way get when the server is to end
}

// New makes a Server; it opens nothing.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Server{o: o, grace: 2 * time.Second}
}

// Serve answers requests on l until ctx ends, and closes l. Requests under way then get two seconds; one that takes
// longer loses its connection, and its handler ends once it sees that.
// Whether l is bound to loopback decides what is allowed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	hs := &http.Server{
		Handler:           s.handler(boundToLoopback(l.Addr())),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // pprof extends it by the seconds it was asked for
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()

	select {
	case err := <-served:
		_ = hs.Close() // the error that matters is the one of accepting
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	err := hs.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = hs.Close()
	}
	<-served
	return err
}

func boundToLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
