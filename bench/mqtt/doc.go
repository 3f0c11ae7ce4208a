// Package mqtt is as much of MQTT 3.1.1 as a benchmark needs: packets appended to a buffer, and packets cut out of a
// stream. It knows nothing of sessions, retransmission or of what a packet is for.
package mqtt
