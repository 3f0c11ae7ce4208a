// Package admit decides when newcomers may come in: as many as a rate and a
// burst allow at once, the others later, in turn, from a queue.
//
// A [Gate] is fair between the networks that its newcomers come from. Networks
// with somebody waiting are served in turn, each in order of arrival, and when
// the queue is full the place of a newcomer is taken from the network that has
// the most of them. So a flood from one network delays, and costs, that network.
//
// The package knows nothing of connections, of clocks or of goroutines: whoever
// uses it says what time it is, and acts on what the gate has decided.
package admit
