package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Event is something that happened and that an operator may want to know of: what the log has a line for, from level
// info on, and a few things that are counted rather than logged. Equal ones become one with a count.
type Event struct {
	ID         uint64      `json:"id"`         // of the latest occurrence; grows
	FirstID    uint64      `json:"first_id"`   // of the first one: stays while more are counted
	Time       time.Time   `json:"time"`       // of the latest occurrence
	FirstTime  time.Time   `json:"first_time"` // of the first one
	Count      uint64      `json:"count"`
	Level      string      `json:"level"` // info, warn or error
	Text       string      `json:"text"`  // the same for all of a kind
	Attributes []Attribute `json:"attributes"`
}

// Attribute is a detail of an Event.
type Attribute struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// EventList is the answer of /api/v1/events.
type EventList struct {
	Last      uint64  `json:"last_id"`   // of the latest event there is, whether or not it is listed
	Forgotten uint64  `json:"forgotten"` // events that made room for later ones
	Events    []Event `json:"events"`    // the oldest first
}

// MarshalJSON implements json.Marshaler.
func (l EventList) MarshalJSON() ([]byte, error) {
	type plain EventList
	l.Events = orEmpty(l.Events)
	return json.Marshal(plain(l))
}

// MarshalJSON implements json.Marshaler.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	e.Attributes = orEmpty(e.Attributes)
	return json.Marshal(plain(e))
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if since, ok := parseSince(w, r); ok {
		answer(w, http.StatusOK, s.o.Source.Events(since))
	}
}

// parseSince reads the parameter since, or says what is wrong with it.
func parseSince(w http.ResponseWriter, r *http.Request) (since uint64, ok bool) {
	text := r.URL.Query().Get("since")
	if text == "" {
		return 0, true
	}
	since, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, "since: write the number that the answer before ended with, or leave it out")
		return 0, false
	}
	return since, true
}

// Events asks for those after an id; 0 asks for all that are remembered, and so does an id that is still to come, as
// that of a process before this one may be.
func (c *Client) Events(ctx context.Context, since uint64) (EventList, error) {
	var list EventList
	err := c.call(ctx, http.MethodGet, "/api/v1/events?since="+strconv.FormatUint(since, 10), &list)
	return list, err
}
