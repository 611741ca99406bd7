// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path of this module.
const Module = "github.com/januscloud/januscloud"

// Problem is a place where a rule is broken.
type Problem struct {
	File string // relative to the module
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Source is one parsed Go file.
type Source struct {
	Path string // relative to the module, with slashes
	Text []byte
	File *ast.File
	fset *token.FileSet
}

// Parse makes a Source of a file's content.
func Parse(name string, text []byte) (*Source, error) {
	s := &Source{Path: name, Text: text, fset: token.NewFileSet()}
	var err error
	s.File, err = parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("house: %w", err)
	}
	return s, nil
}

// Load parses every Go file below root, except what stands in testdata or in folders that begin with a dot.
func Load(root string) ([]*Source, error) {
	var sources []*Source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(file) != ".go":
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s, err := Parse(filepath.ToSlash(relative), text)
		if err == nil {
			sources = append(sources, s)
		}
		return err
	})
	return sources, err
}

// Test reports whether the file is part of a test.
func (s *Source) Test() bool { return strings.HasSuffix(s.Path, "_test.go") }

// Package is the folder of the file, relative to the module.
func (s *Source) Package() string { return path.Dir(s.Path) }

// Imports are the paths that the file imports.
func (s *Source) Imports() []string {
	var paths []string
	for _, i := range s.File.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func (s *Source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

func (s *Source) problem(pos token.Pos, format string, args ...any) Problem {
	return Problem{s.Path, s.line(pos), fmt.Sprintf(format, args...)}
}

// marked reports whether the line of pos ends with a comment that makes an exception, and says why.
func (s *Source) marked(pos token.Pos, mark string) bool {
	lines := bytes.Split(s.Text, []byte("\n"))
	_, reason, found := bytes.Cut(lines[s.line(pos)-1], []byte("//house:"+mark+" "))
	return found && len(bytes.TrimSpace(reason)) > 0
}

// within reports whether a folder is one of the given ones, or below.
func within(folder string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return folder == root || strings.HasPrefix(folder, root+"/")
	})
}
