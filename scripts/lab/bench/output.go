// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// output is where results go: files of one folder whose names begin with the time of the run.
type output struct{ stem string }

func newOutput(folder string, at time.Time) (*output, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return &output{stem: filepath.Join(folder, at.UTC().Format("20060102T150405Z"))}, nil
}

func (o *output) write(ending string, data []byte) error {
	if err := os.WriteFile(o.stem+ending, data, 0o644); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// save writes the result for programs and for people.
func (o *output) save(r result, text string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	if err := o.write(".json", append(data, '\n')); err != nil {
		return err
	}
	if err := o.write(".txt", []byte(text)); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: saved as %s.json and .txt\n", o.stem)
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
