//go:build linux

// Command bench measures what mqedge, nginx and HAProxy cost for the same work, side by side in one run.
//
// It runs each proxy between a load generator and a sink, both of them this program again in processes of their own, and
// reads the proxy's CPU clock and memory from the kernel. See README.md for how to run it and how to read it.
package main
