package configs

import (
	"cmp"
	"fmt"
	"slices"
)

// listen is an address that a file says to listen on.
type listen struct {
	path    string
	text    string
	address hostPort
}

// binds finds addresses that the system would refuse, because an earlier one of the file has taken them.
func (c *checker) binds() {
	var all []listen
	add := func(path, text string) {
		address, err := splitAddress(text)
		if err == nil && !c.failed(path) {
			all = append(all, listen{path, text, address})
		}
	}
	for _, name := range sorted(c.cfg.Listeners) {
		for i, text := range c.cfg.Listeners[name].Bind {
			add(fmt.Sprintf("%s.bind[%d]", namePath("listeners", name), i), text)
		}
	}
	add("admin.bind", c.cfg.Admin.Bind)
	if c.cfg.Gossip != nil {
		add("gossip.bind", c.cfg.Gossip.Bind)
	}
	slices.SortStableFunc(all, func(a, b listen) int {
		at, _ := c.place(a.path)
		bt, _ := c.place(b.path)
		return cmp.Or(cmp.Compare(at.line, bt.line), cmp.Compare(at.column, bt.column))
	})

	c.listens = map[int][]listen{}
	for _, later := range all {
		port := later.address.port
		for _, earlier := range c.listens[port] {
			if later.address.overlaps(earlier.address) {
				c.taken(later, earlier)
				break
			}
		}
		c.listens[port] = append(c.listens[port], later)
	}
}

func (c *checker) taken(later, earlier listen) {
	if _, written := c.at["admin.bind"]; !written && earlier.path == "admin.bind" {
		c.errorf(later.path, `%s is taken by the default of admin.bind, %s: choose another port, or set admin.bind ("" turns it off)`,
			later.text, earlier.text)
		return
	}
	at, path := c.place(earlier.path)
	c.errorf(later.path, "%s is taken by %s in line %d, %s: choose another port", later.text, path, at.line, earlier.text)
}
