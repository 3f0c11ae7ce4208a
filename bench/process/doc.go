// Package process reads what a running process, with all its descendants, has cost: CPU time, memory and open files;
// and what CPU time everything on the host has used. It works on Linux only and knows nothing of what the process does.
package process
