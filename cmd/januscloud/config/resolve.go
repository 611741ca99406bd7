// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"

	"github.com/alecthomas/kong"
)

// Source gives the command line what was not said there: from the environment, else from the file that --config names.
// Use it once, as a resolver of kong.
type Source struct {
	environ   []string
	loaded    bool
	env, file Values
	err       error
}

var _ kong.Resolver = (*Source)(nil)

// NewSource makes a Source of an environment as os.Environ tells it.
func NewSource(environ []string) *Source { return &Source{environ: environ} }

// Err is what is wrong with file and environment. Ask it after parsing, and before believing another error.
func (s *Source) Err() error { return s.err }

// Validate does nothing: Err tells.
func (s *Source) Validate(*kong.Application) error { return nil }

// Resolve finds the value of a flag that was not given. Commands without settings have neither file nor environment.
func (s *Source) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !s.loaded {
		s.loaded = true
		s.load(ctx)
	}
	if value, ok := s.env[flag.Name]; ok {
		return value, nil
	}
	if value, ok := s.file[flag.Name]; ok {
		return value, nil
	}
	return nil, nil
}

func (s *Source) load(ctx *kong.Context) {
	var named *kong.Flag
	for _, f := range ctx.Flags() {
		if f.Name == "config" {
			named = f
		}
	}
	if named == nil {
		return
	}
	var errFile error
	s.env, s.err = FromEnvironment(s.environ)
	path, _ := ctx.FlagValue(named).(string)
	if path == "" {
		path = s.env["config"]
	}
	if path != "" {
		s.file, errFile = FromFile(path)
	}
	s.err = errors.Join(s.err, errFile)
}
