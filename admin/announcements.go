package admin

import (
	"encoding/json"
	"strconv"
)

// Announcement is what this process offers to the gossip cluster, or would.
type Announcement struct {
	Service   string `json:"service"`
	Address   string `json:"address"` // as others use it
	Weight    int    `json:"weight"`
	Container string `json:"container,omitempty"` // whose labels say so; "" is the configuration file
	State     string `json:"state"`               // up, draining or down as announced, or "waiting", or "refused"
	Reason    string `json:"reason"`              // why it is not up, or what is to be known of it
}

// Engine is what containers are asked of.
type Engine struct {
	Socket     string      `json:"socket"`
	Connected  bool        `json:"connected"`
	Error      string      `json:"error"` // why not
	Containers []Container `json:"containers"`
}

// Container is one with labels of ours.
type Container struct {
	Name     string   `json:"name"`
	Offers   int      `json:"offers"`   // endpoints
	Reason   string   `json:"reason"`   // why there are none
	Wrong    bool     `json:"wrong"`    // the reason is a mistake rather than a state
	Warnings []string `json:"warnings"` // labels that mean nothing
}

// Announcements is the answer of /api/v1/announcements.
type Announcements struct {
	Announcements []Announcement `json:"announcements"`
	Engine        *Engine        `json:"docker"` // null where containers are not looked at
}

// MarshalJSON implements json.Marshaler.
func (a Announcements) MarshalJSON() ([]byte, error) {
	type plain Announcements
	a.Announcements = orEmpty(a.Announcements)
	return json.Marshal(plain(a))
}

// MarshalJSON implements json.Marshaler.
func (e Engine) MarshalJSON() ([]byte, error) {
	type plain Engine
	e.Containers = orEmpty(e.Containers)
	return json.Marshal(plain(e))
}

// MarshalJSON implements json.Marshaler.
func (c Container) MarshalJSON() ([]byte, error) {
	type plain Container
	c.Warnings = orEmpty(c.Warnings)
	return json.Marshal(plain(c))
}

func (p *page) announcements(a Announcements) {
	if len(a.Announcements) > 0 {
		rows := []row{{cells: []string{"ANNOUNCED", "ADDRESS", "STATE", ">WEIGHT", "BY"}}}
		for _, one := range a.Announcements {
			by := "the file"
			if one.Container != "" {
				by = "container " + one.Container
			}
			rows = append(rows, row{cells: []string{one.Service, one.Address, one.State, strconv.Itoa(one.Weight), by}, note: one.Reason})
		}
		p.table(rows)
	}
	if a.Engine == nil {
		return
	}
	head := row{cells: []string{"CONTAINER", "ANNOUNCED"}}
	switch {
	case !a.Engine.Connected && a.Engine.Error == "":
		head.note = "the Docker Engine at " + a.Engine.Socket + " has not answered yet"
	case !a.Engine.Connected:
		head.note = "the Docker Engine does not answer, what was known stays: " + a.Engine.Error
	case len(a.Engine.Containers) == 0:
		head.note = "no container has a label mqedge.service"
	}
	rows := []row{head}
	for _, c := range a.Engine.Containers {
		offers := "no"
		if c.Offers > 0 {
			offers = strconv.Itoa(c.Offers)
		}
		rows = append(rows, row{cells: []string{c.Name, offers}, note: sentence(append([]string{c.Reason}, c.Warnings...)...)})
	}
	p.table(rows)
}
