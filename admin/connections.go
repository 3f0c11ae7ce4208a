package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
)

const (
	// defaultConnections bounds a list of connections for which no limit was asked.
	defaultConnections = 1000
	mostConnections    = 1_000_000

	// totalHeader tells how many connections match, moreHeader that the list is not all of them.
	totalHeader = "X-Total-Count"
	moreHeader  = "X-More"
)

func (s *Server) connections(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter := ConnectionFilter{
		ClientID: q.Get("client_id"), Listener: q.Get("listener"), Upstream: q.Get("upstream"), Endpoint: q.Get("endpoint"),
		Limit: defaultConnections,
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostConnections {
			fail(w, http.StatusBadRequest, fmt.Sprintf("limit %.20q: write a number from 1 to %d", text, mostConnections))
			return
		}
		filter.Limit = n
	}
	total, some := s.o.Source.Connections(filter)
	if total == 0 {
		if missing := s.unknown(filter); missing != "" {
			fail(w, http.StatusNotFound, missing)
			return
		}
	}
	w.Header().Set(totalHeader, strconv.Itoa(total))
	if total > filter.Limit {
		w.Header().Set(moreHeader, "true")
	}
	stream(w, some)
}

// unknown says which name of a filter that found nothing is not one of the configuration, or nothing. It is asked only
// then, since a listener or upstream that a reload took away may have connections still.
func (s *Server) unknown(f ConnectionFilter) string {
	var listeners, upstreams []string
	for _, l := range s.o.Source.Listeners() {
		listeners = append(listeners, l.Name)
	}
	for _, u := range s.o.Source.Upstreams() {
		upstreams = append(upstreams, u.Name)
	}
	switch {
	case f.Listener != "" && !slices.Contains(listeners, f.Listener):
		return fmt.Sprintf("there is no listener %.80q: there are %s", f.Listener, known(listeners))
	case f.Upstream != "" && !slices.Contains(upstreams, f.Upstream):
		return fmt.Sprintf("there is no upstream %.80q: there are %s", f.Upstream, known(upstreams))
	}
	return ""
}

// stream writes a list as JSON without ever having it whole: it may be of a million connections.
func stream(w http.ResponseWriter, some iter.Seq[Connection]) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := bufio.NewWriterSize(w, 32<<10)
	separator := "["
	for c := range some {
		body, err := json.Marshal(c)
		if err != nil {
			panic(http.ErrAbortHandler) // the answer has begun: all that is left is to cut it off
		}
		_, _ = out.WriteString(separator)
		if _, err := out.Write(body); err != nil {
			return // the client went away
		}
		separator = ","
	}
	if separator == "[" {
		_, _ = out.WriteString("[")
	}
	_, _ = out.WriteString("]\n")
	_ = out.Flush()
}

func (s *Server) kick(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("client_id")
	if id == "" {
		fail(w, http.StatusBadRequest, "say which client to disconnect: ?client_id=X")
		return
	}
	answer(w, http.StatusOK, map[string]int{"kicked": s.o.Control.Kick(id)})
}
