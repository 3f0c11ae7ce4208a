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
	Connect *Options    `json:"connect,omitempty"`
	Run     *RunOptions `json:"run,omitempty"`
	Ping    bool        `json:"ping,omitempty"`
}

// Reply answers it in the same order.
type Reply struct {
	Outcome *Outcome   `json:"outcome,omitempty"` // to Connect and Ping
	Result  *RunResult `json:"result,omitempty"`  // to Run
	Error   string     `json:"error,omitempty"`
}

// Serve answers requests, as JSON, until in ends; then it closes the connections and returns.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	clients := new(Clients)
	defer func() { clients.Close() }()
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
		reply, err := request.answer(ctx, &clients)
		if err != nil {
			reply = Reply{Error: err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			return fmt.Errorf("load: reply: %w", err)
		}
	}
}

func (r Request) answer(ctx context.Context, clients **Clients) (Reply, error) {
	switch {
	case r.Connect != nil:
		connected, outcome, err := Connect(ctx, *r.Connect)
		if err != nil {
			return Reply{}, err
		}
		(*clients).Close()
		*clients = connected
		return Reply{Outcome: &outcome}, nil
	case r.Run != nil:
		result, err := (*clients).Run(*r.Run)
		return Reply{Result: &result}, err
	case r.Ping:
		outcome := (*clients).Ping()
		return Reply{Outcome: &outcome}, nil
	default:
		return Reply{}, errors.New("load: an empty request")
	}
}
