package admin

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Member is one entry of /api/v1/members.
type Member struct {
	Name    string    `json:"name"` // unique: it has the time of start in it
	Host    string    `json:"host"`
	Address string    `json:"address"`
	Alive   bool      `json:"alive"`
	Left    bool      `json:"left"`  // not alive: it said farewell, or another process has taken its place
	Self    bool      `json:"self"`  // the one that answers
	Since   time.Time `json:"since"` // when it was first seen alive, or found dead
}

// Members asks for the members of the gossip cluster; there are none where gossip is not configured.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	members := []Member{}
	return members, c.call(ctx, http.MethodGet, "/api/v1/members", &members)
}

// RenderMembers writes the members as plain text for a screen of the given width; 0 means 80 columns.
func RenderMembers(w io.Writer, members []Member, now time.Time, width int) error {
	if width <= 0 {
		width = defaultWidth
	}
	p := page{width: width}
	if len(members) == 0 {
		p.line(0, "no members: the configuration has no gossip section")
	} else {
		p.members(members, now)
	}
	_, err := io.WriteString(w, strings.TrimPrefix(p.text.String(), "\n"))
	return err
}

func (p *page) members(members []Member, now time.Time) {
	if len(members) == 0 {
		return
	}
	rows := []row{{cells: []string{"MEMBER", "ADDRESS", "STATE", ">FOR"}}}
	for _, m := range members {
		state := "alive"
		switch {
		case m.Left:
			state = "left"
		case !m.Alive:
			state = "silent"
		}
		note := ""
		if m.Self {
			note = "this one"
		}
		rows = append(rows, row{cells: []string{m.Host, m.Address, state, age(now.Sub(m.Since))}, note: note})
	}
	p.table(rows)
}
