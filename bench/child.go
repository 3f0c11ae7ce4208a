//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// child is this program running as one of its parts, which ends when its input does: so none outlives the runner.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	enc   *json.Encoder
	dec   *json.Decoder
}

func startChild(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return &child{cmd: cmd, stdin: stdin, enc: json.NewEncoder(stdin), dec: json.NewDecoder(stdout)}, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) ask(request, reply any) error {
	if err := c.enc.Encode(request); err != nil {
		return err
	}
	return c.dec.Decode(reply)
}

// kill ends it in the middle of its work; close must follow.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

func (c *child) close() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
}
