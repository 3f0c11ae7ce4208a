package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Request asks a generator in another process for one thing: the field that is set.
type Request struct {
	Connect *Options      `json:"connect,omitempty"`
	Run     *RunOptions   `json:"run,omitempty"`
	Bulk    *BulkOptions  `json:"bulk,omitempty"`
	Setup   *SetupOptions `json:"setup,omitempty"`
	Soak    *SoakOptions  `json:"soak,omitempty"`
	Ping    bool          `json:"ping,omitempty"`
}

// Reply answers it in the same order.
type Reply struct {
	Outcome *Outcome     `json:"outcome,omitempty"` // to Connect, Bulk and Ping
	Result  *RunResult   `json:"result,omitempty"`  // to Run
	Setup   *SetupResult `json:"setup,omitempty"`
	Soak    *SoakResult  `json:"soak,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// Serve answers requests, as JSON, until in ends; then it closes the connections and returns.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	state := state{clients: new(Clients)}
	defer func() { state.clients.Close() }()
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var request Request
		err := requests.Decode(&request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("load: request: %w", err)
		}
		reply, err := state.answer(ctx, request)
		if err != nil {
			reply = Reply{Error: err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			return fmt.Errorf("load: reply: %w", err)
		}
	}
}

// state is what a request leaves for the next.
type state struct {
	clients *Clients
	setups  Setups
}

func (s *state) answer(ctx context.Context, r Request) (Reply, error) {
	switch {
	case r.Connect != nil:
		connected, outcome, err := Connect(ctx, *r.Connect)
		if err != nil {
			return Reply{}, err
		}
		s.clients.Close()
		s.clients = connected
		return Reply{Outcome: &outcome}, nil
	case r.Run != nil:
		result, err := s.clients.Run(*r.Run)
		return Reply{Result: &result}, err
	case r.Bulk != nil:
		outcome := s.clients.Bulk(*r.Bulk)
		return Reply{Outcome: &outcome}, nil
	case r.Setup != nil:
		result, err := s.setups.Run(ctx, *r.Setup)
		return Reply{Setup: &result}, err
	case r.Soak != nil:
		result, err := Soak(ctx, *r.Soak)
		return Reply{Soak: &result}, err
	case r.Ping:
		outcome := s.clients.Ping()
		return Reply{Outcome: &outcome}, nil
	default:
		return Reply{}, errors.New("load: an empty request")
	}
}
