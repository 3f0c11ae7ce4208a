package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Ports that EMQX derives from the name of a node, so that nodes find each other
// without a port mapper: ekka_dist and gen_rpc_helper.
const (
	distBase  = 4370
	rpcBase   = 5370
	rpcManual = 5369 // rpc.server_port with port_discovery manual, which its Docker image sets
)

func (p Process) String() string {
	if name := p.node(); name != "" {
		return fmt.Sprintf("EMQX %s (pid %d)", name, p.PID)
	}
	return fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
}

// node is the name of an EMQX node, "" if it is not known.
func (p Process) node() string {
	for i, a := range p.Args {
		if (a == "-name" || a == "-sname") && i+1 < len(p.Args) {
			return p.Args[i+1]
		}
	}
	if name := p.Env["EMQX_NODE_NAME"]; name != "" {
		return name
	}
	return strings.Trim(p.Env["EMQX_NODE__NAME"], `"`)
}

// offset is what EMQX adds to its base ports: the number that the name of the node
// ends with, before the @.
func offset(node string) int {
	name, _, _ := strings.Cut(node, "@")
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	n := 0
	for _, d := range digits {
		n = (n*10 + int(d-'0')) % 60000
	}
	return n
}

// rpcPort returns the port of gen_rpc if it was set by hand.
func (p Process) rpcPort() (port int, manual bool) {
	if strings.Trim(p.Env["EMQX_RPC__PORT_DISCOVERY"], `"`) != "manual" {
		return 0, false
	}
	for _, name := range []string{"EMQX_RPC__SERVER_PORT", "EMQX_RPC__TCP_SERVER_PORT"} {
		if n, err := strconv.Atoi(strings.Trim(p.Env[name], `"`)); err == nil {
			return n, true
		}
	}
	return rpcManual, true
}

// listens returns the ports that the environment tells it to listen on, with
// their variables: those of EMQX 5, and of EMQX 4, where they have the name of the
// listener and nothing behind it.
func (p Process) listens() map[int]string {
	out := make(map[int]string)
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		listener, isBind := strings.CutSuffix(name, "__BIND")
		if !isBind && !isListener4(name) || p.Env[listener+"__ENABLE"] == "false" || p.Env[listener+"__ENABLED"] == "false" {
			continue
		}
		value := strings.Trim(p.Env[name], `"`)
		port, err := strconv.Atoi(value[strings.LastIndexByte(value, ':')+1:])
		if err == nil && port > 0 {
			out[port] = name
		}
	}
	return out
}

// isListener4 knows EMQX_LISTENER__TCP__EXTERNAL, and EMQX_DASHBOARD__LISTENER__HTTP.
func isListener4(name string) bool {
	parts := strings.Split(name, "__")
	return len(parts) == 3 && (parts[0] == "EMQX_LISTENER" || parts[1] == "LISTENER" && (parts[0] == "EMQX_DASHBOARD" || parts[0] == "EMQX_MANAGEMENT"))
}

// emqx looks at nodes that share a network, as containers with --network host do,
// and want the same ports.
func emqx(s subject) []Finding {
	together := make(map[string][]Process)
	for _, p := range s.host.Processes {
		if p.isEMQX() {
			together[p.Network] = append(together[p.Network], p)
		}
	}
	var out []Finding
	for _, network := range slices.Sorted(maps.Keys(together)) {
		nodes := together[network]
		switch {
		case len(nodes) < 2:
		case network == "":
			out = append(out, Finding{
				Severity: Note, What: fmt.Sprintf("%d EMQX nodes run here, and this user cannot see whether they share ports", len(nodes)),
				Why: "Ask as root.", Commands: []string{"sudo mqedge doctor"},
			})
		default:
			out = append(out, collisions(nodes)...)
		}
	}
	return out
}

// collisions looks at every two nodes of one network.
func collisions(nodes []Process) []Finding {
	var out []Finding
	manual := make(map[int][]string)
	for i, a := range nodes {
		for _, b := range nodes[i+1:] {
			out = append(out, pair(a, b)...)
		}
		if port, is := a.rpcPort(); is {
			manual[port] = append(manual[port], a.String())
		}
	}
	for _, port := range slices.Sorted(maps.Keys(manual)) {
		if len(manual[port]) < 2 {
			continue
		}
		out = append(out, Finding{
			Severity: Error, What: fmt.Sprintf("%d EMQX nodes on one network want port %d for rpc", len(manual[port]), port),
			Why: fmt.Sprintf("Their rpc.port_discovery is manual, as the Docker image sets it: one port for all nodes of a cluster. "+
				"With stateless each has its own, %d and the number in its name; all members of the cluster must agree.", rpcBase),
			Details:  manual[port],
			Commands: []string{"docker run -e EMQX_RPC__PORT_DISCOVERY=stateless …"},
		})
	}
	if len(manual) > 1 {
		out = append(out, Finding{
			Severity: Note, What: "EMQX nodes on one network have set different ports for rpc by hand",
			Why: "Within a cluster that does not work, since each node asks the others at its own port. Set EMQX_RPC__PORT_DISCOVERY=stateless for all of them.",
		})
	}
	return out
}

// pair compares two nodes.
func pair(a, b Process) []Finding {
	var out []Finding
	first, second := a.node(), b.node()
	switch {
	case first == "" || second == "":
	case first == second:
		out = append(out, Finding{
			Severity: Error, What: fmt.Sprintf("two EMQX nodes on one network have the name %s (pids %d and %d)", first, a.PID, b.PID),
			Why:      "They want the same ports, and a cluster takes one of them only. Number them.",
			Commands: []string{"docker run -e EMQX_NODE_NAME=" + numbered(first) + " …"},
		})
	case offset(first) == offset(second):
		n := offset(first)
		out = append(out, Finding{
			Severity: Error, What: fmt.Sprintf("%s and %s want the same port for the cluster, %d", a, b, distBase+n),
			Why:      fmt.Sprintf("It is %d and the number before the @ in the name; that of rpc is %d and the number. Give them different numbers.", distBase, rpcBase),
			Commands: []string{"docker run -e EMQX_NODE_NAME=" + numbered(second) + " …"},
		})
	}
	theirs := b.listens()
	ours := a.listens()
	for _, port := range slices.Sorted(maps.Keys(ours)) {
		if name, both := theirs[port]; both {
			out = append(out, Finding{
				Severity: Error, What: fmt.Sprintf("%s and %s both listen on port %d", a, b, port),
				Why: "On one network each needs its own.", Commands: []string{fmt.Sprintf("docker run -e %s=%d …", name, port+1)},
			})
		}
	}
	return out
}

// numbered is the name of a node with a number one greater.
func numbered(node string) string {
	name, host, _ := strings.Cut(node, "@")
	return fmt.Sprintf("%s%d@%s", strings.TrimRight(name, "0123456789"), offset(node)+1, host)
}
