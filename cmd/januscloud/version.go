// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"As JSON."`
}

// build is what is known of this program's making.
type build struct {
	Version  string `json:"version"`            // (devel) when built from a working copy
	Revision string `json:"revision,omitempty"` // of the repository, -dirty when it was changed
	Time     string `json:"time,omitempty"`     // of the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		b.Revision += "-dirty"
	}
	return b
}

func (b build) String() string {
	s := "januscloud " + b.Version
	if b.Revision != "" {
		s += " (" + b.Revision + ")"
	}
	return s + " " + b.Go + " " + b.Platform
}

func (c *versionCommand) Run(w *world) error {
	if c.JSON {
		return json.NewEncoder(w.stdout).Encode(thisBuild())
	}
	_, err := fmt.Fprintln(w.stdout, thisBuild())
	return err
}
