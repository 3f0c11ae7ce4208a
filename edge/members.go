package edge

import "github.com/mqedge/mqedge/admin"

func (s source) Members() []admin.Member {
	m := s.e.current.Load().gossip
	if m == nil {
		return nil
	}
	var out []admin.Member
	for _, n := range m.node.Members() {
		out = append(out, admin.Member{
			Name: n.Name, Host: n.Host(), Address: n.Addr.String(), Alive: n.Alive, Left: n.Left, Self: n.Name == m.node.Name(), Since: n.Since,
		})
	}
	return out
}
