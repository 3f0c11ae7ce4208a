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
	Connect *Options       `json:"connect,omitempty"`
	Run     *RunOptions    `json:"run,omitempty"`
	Bulk    *BulkOptions   `json:"bulk,omitempty"`
	Setup   *SetupOptions  `json:"setup,omitempty"`
	Soak    *SoakOptions   `json:"soak,omitempty"`
	Dial    *CallerOptions `json:"dial,omitempty"`
	Calls   *CallOptions   `json:"calls,omitempty"`
	Ping    bool           `json:"ping,omitempty"`
	Again   bool           `json:"again,omitempty"`
}

// Reply answers it in the same order.
type Reply struct {
	Outcome *Outcome     `json:"outcome,omitempty"` // to Connect, Bulk, Ping, Dial and Again
	Result  *RunResult   `json:"result,omitempty"`  // to Run
	Setup   *SetupResult `json:"setup,omitempty"`
	Soak    *SoakResult  `json:"soak,omitempty"`
	Calls   *CallResult  `json:"calls,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// Serve answers requests, as JSON, until in ends; then it closes the connections and returns.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	state := state{clients: new(Clients), callers: new(Callers)}
	defer func() {
		state.clients.Close()
		state.callers.Close()
	}()
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
	callers *Callers
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
	case r.Dial != nil:
		dialed, outcome, err := Dial(ctx, *r.Dial)
		if err != nil {
			return Reply{}, err
		}
		s.callers.Close()
		s.callers = dialed
		return Reply{Outcome: &outcome}, nil
	case r.Calls != nil:
		result, err := s.callers.Run(*r.Calls)
		return Reply{Calls: &result}, err
	case r.Again:
		outcome := s.callers.Again()
		return Reply{Outcome: &outcome}, nil
	case r.Ping:
		outcome := s.clients.Ping()
		return Reply{Outcome: &outcome}, nil
	default:
		return Reply{}, errors.New("load: an empty request")
	}
}
