// Package stats is the arithmetic of the benchmark: medians, ratios inside rounds, and a latency histogram. It knows
// nothing of what the numbers measure.
package stats
