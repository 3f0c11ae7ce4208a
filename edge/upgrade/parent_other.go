//go:build !linux

package upgrade

func contained() bool { return false }
