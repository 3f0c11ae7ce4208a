// Package process reads what a running process, with all its descendants, has cost: CPU time and memory. It works on
// Linux only and knows nothing of what the process does.
package process
