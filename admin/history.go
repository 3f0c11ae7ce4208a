package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// History is the answer of /api/v1/history: what was measured at even intervals, for plots.
type History struct {
	Seconds   float64           `json:"seconds"` // from one sample to the next
	Last      uint64            `json:"last"`    // the number of the latest sample; the first is 1
	Time      time.Time         `json:"time"`    // of the latest sample
	Listeners []ListenerHistory `json:"listeners"`
	Upstreams []UpstreamHistory `json:"upstreams"`
}

// ListenerHistory is that of a listener. All series are of one length and end with the latest sample; what is said
// to be a rate is a second's.
type ListenerHistory struct {
	Name     string `json:"name"`
	Active   Series `json:"active"`    // connections
	Accepted Series `json:"accepted"`  // rate
	Refused  Series `json:"refused"`   // rate
	BytesIn  Series `json:"bytes_in"`  // rate
	BytesOut Series `json:"bytes_out"` // rate

	MessagesIn  Series `json:"messages_in"`  // rate; not known of protocols other than MQTT's
	MessagesOut Series `json:"messages_out"` // rate, likewise
}

// UpstreamHistory is that of an upstream.
type UpstreamHistory struct {
	Name        string `json:"name"`
	Connections Series `json:"connections"`
	Connects    Series `json:"connects"` // rate
	Failures    Series `json:"failures"` // rate, of connects
	Answer      Series `json:"answer"`   // seconds from CONNECT to CONNACK: the median of the endpoints' medians
	Slowest     Series `json:"slowest"`  // likewise, of the slowest endpoint

	Calls *CallHistory `json:"calls,omitempty"` // of an upstream of gRPC calls
}

// CallHistory is that of the gRPC calls of an upstream.
type CallHistory struct {
	Rate   Series `json:"rate"`
	Errors Series `json:"errors"` // rate, of those that ended with another status than OK
	Mean   Series `json:"mean"`   // seconds until the answer
	P99    Series `json:"p99"`    // 99 of 100 took no longer, in seconds
}

// Series are values over time. NaN is what is not known, and null in JSON.
type Series []float32

// MarshalJSON implements json.Marshaler.
func (s Series) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2+4*len(s))
	out = append(out, '[')
	for i, v := range s {
		if i > 0 {
			out = append(out, ',')
		}
		if v != v || math.IsInf(float64(v), 0) {
			out = append(out, "null"...)
			continue
		}
		if v == float32(math.Trunc(float64(v))) {
			out = strconv.AppendFloat(out, float64(v), 'f', -1, 32)
			continue
		}
		out = strconv.AppendFloat(out, float64(v), 'g', 4, 32) // more is more than a plot shows
	}
	return append(out, ']'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Series) UnmarshalJSON(b []byte) error {
	var values []*float32
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&values); err != nil {
		return err
	}
	*s = make(Series, len(values))
	for i, v := range values {
		if v == nil {
			(*s)[i] = float32(math.NaN())
			continue
		}
		(*s)[i] = *v
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (h History) MarshalJSON() ([]byte, error) {
	type plain History
	h.Listeners, h.Upstreams = orEmpty(h.Listeners), orEmpty(h.Upstreams)
	return json.Marshal(plain(h))
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	if since, ok := parseSince(w, r); ok {
		answer(w, http.StatusOK, s.o.Source.History(since))
	}
}

// History asks for the samples after one; 0 asks for all that are remembered.
func (c *Client) History(ctx context.Context, since uint64) (History, error) {
	var h History
	err := c.call(ctx, http.MethodGet, "/api/v1/history?since="+strconv.FormatUint(since, 10), &h)
	return h, err
}
