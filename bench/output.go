//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mqedge/mqedge/bench/report"
)

const (
	jsonName = "bench.json"
	svgName  = "bench.svg"
)

// write puts the tables to out, and the measurements and the picture into dir; "" is a new folder among the temporary files.
func write(result report.Report, dir string, out, progress io.Writer) error {
	if err := result.Markdown(out); err != nil {
		return err
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "bench-result-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, jsonName)
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(progress, "written:", path)
	return draw(result, dir, progress)
}

func draw(result report.Report, dir string, progress io.Writer) error {
	f, err := os.Create(filepath.Join(dir, svgName))
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "written:", f.Name())
	return errors.Join(result.SVG(f), f.Close())
}

// plot makes the tables and the picture again from the measurements of an earlier run; the picture goes beside them.
func plot(args []string, out, progress io.Writer) error {
	if len(args) != 1 {
		return errors.New("bench plot wants one file, the bench.json of an earlier run")
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var result report.Report
	if err := json.Unmarshal(raw, &result); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if err := result.Markdown(out); err != nil {
		return err
	}
	return draw(result, filepath.Dir(args[0]), progress)
}
