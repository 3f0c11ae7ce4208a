//go:build race

package e2e

// underRace says that this test, and so the binary it builds, has the race detector in it.
const underRace = true
