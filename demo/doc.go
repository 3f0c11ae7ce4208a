// Package demo is the first two minutes with mqedge: three embedded brokers that
// stand for an EMQX cluster, the edge with TLS in front of them, devices that
// publish and subscribe through it, and two hook servers that the brokers call
// through it as EMQX does, and an agent from which the edge learns of both by
// gossip, all in one process and on loopback.
//
// It tells a story and checks it while it goes: a reload under traffic, a broker
// that is killed and comes back, one more that is announced and withdrawn, a hook
// server that is killed and comes back, a drain. What the edge thinks of its endpoints is asked through the admin address,
// as a user would; what the brokers saw is asked of the brokers; what the devices
// noticed, of the devices; who was called, of the hook servers. The end is a list
// of promises, each with the figure that was measured.
//
// The parts: a cluster (the brokers, with an account of their hook calls), the
// providers (the hook servers), a front (the edge), the agent, a fleet of devices with a
// ledger of their messages, a screen, and the story that plays on them.
package demo
