// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Values are settings that a file or the environment gives, as texts, by the name of the field.
type Values map[string]string

// FromEnvironment reads the variables of ours out of "NAME=value" pairs (os.Environ). The error joins a Problem for each
// that is unknown or cannot be used. An empty variable counts as unset.
func FromEnvironment(environ []string) (Values, error) {
	values := Values{}
	var errs []error
	fields := Fields()
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) || value == "" {
			continue
		}
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Env == name })
		if i < 0 {
			errs = append(errs, unknownVariable(name, fields))
			continue
		}
		if err := fields[i].Check(value); err != nil {
			errs = append(errs, &Problem{Source: "environment", Key: name, Reason: err.Error()})
			continue
		}
		values[fields[i].Name] = value
	}
	return values, errors.Join(errs...)
}

func unknownVariable(name string, fields []Field) *Problem {
	p := &Problem{Source: "environment", Key: name, Reason: "unknown variable"}
	if strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT_") {
		p.Reason += "; Kubernetes makes such variables for services named januscloud-…, unless the pod has enableServiceLinks: false"
		return p
	}
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.Env
	}
	// The common prefix would make everything look alike.
	if near := nearest(strings.TrimPrefix(name, EnvPrefix), trimAll(known, EnvPrefix)); near != "" {
		p.Meant = EnvPrefix + near
	}
	return p
}

func trimAll(names []string, prefix string) []string {
	trimmed := make([]string, len(names))
	for i, n := range names {
		trimmed[i] = strings.TrimPrefix(n, prefix)
	}
	return trimmed
}

// Files are at most of this size; a greater one is not a configuration.
const maxFile = 1 << 20

// FromFile reads a YAML file. The error joins a Problem for everything that is wrong with it.
func FromFile(path string) (Values, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("configuration: %w", err)
	case len(data) > maxFile:
		return nil, &Problem{Source: path, Reason: "too large for a configuration"}
	}
	return parseFile(path, data)
}

// parseFile reads the content of a file. An empty one sets nothing.
func parseFile(path string, data []byte) (Values, error) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); err != nil && len(bytes.TrimSpace(data)) > 0 {
		if doc.IsZero() && onlyComments(data) {
			return Values{}, nil
		}
		return nil, &Problem{Source: path, Reason: strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return Values{}, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, &Problem{Source: path, Line: root.Line, Reason: "not a mapping of keys to values"}
	}
	f := file{path: path, fields: Fields(), values: Values{}, lines: map[string]int{}}
	for i := 0; i+1 < len(root.Content); i += 2 {
		f.entry(root.Content[i], root.Content[i+1])
	}
	if err := decoder.Decode(new(yaml.Node)); err == nil {
		f.problem(0, "", "more than one document")
	}
	return f.values, errors.Join(f.errs...)
}

func onlyComments(data []byte) bool {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// file is a configuration file while it is read.
type file struct {
	path   string
	fields []Field
	values Values
	lines  map[string]int // where a key stood
	errs   []error
}

func (f *file) problem(line int, key, reason string) *Problem {
	p := &Problem{Source: f.path, Line: line, Key: key, Reason: reason}
	f.errs = append(f.errs, p)
	return p
}

func (f *file) entry(key, value *yaml.Node) {
	name := key.Value
	i := slices.IndexFunc(f.fields, func(f Field) bool { return f.Name == name })
	switch before, twice := f.lines[name]; {
	case i < 0:
		known := make([]string, len(f.fields))
		for i := range f.fields {
			known[i] = f.fields[i].Name
		}
		f.problem(key.Line, name, "unknown key").Meant = nearest(name, known)
		return
	case twice:
		f.problem(key.Line, name, fmt.Sprintf("stands in line %d already", before))
		return
	case name == "config":
		f.problem(key.Line, name, errConfigInFile.Error())
		return
	}
	f.lines[name] = key.Line
	text, set, err := textOf(value, f.fields[i].sep())
	if err == nil && set {
		err = f.fields[i].Check(text)
	}
	switch {
	case err != nil:
		f.problem(value.Line, name, err.Error())
	case set && !f.fields[i].unset(text):
		f.values[name] = text
	}
}

// textOf is a value as it would stand on the command line. A key without a value sets nothing.
func textOf(value *yaml.Node, sep string) (text string, set bool, err error) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch {
	case value.Kind == yaml.ScalarNode:
		return value.Value, value.Tag != "!!null", nil
	case value.Kind == yaml.SequenceNode && sep != "":
		var parts []string
		for _, n := range value.Content {
			if n.Kind != yaml.ScalarNode {
				return "", false, errors.New("not a list of plain values")
			}
			parts = append(parts, n.Value)
		}
		return strings.Join(parts, sep), true, nil
	case value.Kind == yaml.SequenceNode:
		return "", false, errors.New("takes one value, not a list")
	}
	return "", false, errors.New("takes a plain value")
}
