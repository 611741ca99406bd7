// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
)

type configCommand struct {
	Check   configCheck   `cmd:"" help:"Check a file, and the environment with it."`
	Default configDefault `cmd:"" help:"Write a file with every setting, its meaning and its default."`
	Doc     configDoc     `cmd:"" help:"Write the reference of all settings as Markdown."`
}

// Help is the end of the command's help.
func (configCommand) Help() string {
	return `Examples:

    januscloud config default > januscloud.yaml
    januscloud config check januscloud.yaml && januscloud node --config januscloud.yaml`
}

type configCheck struct {
	File string `arg:"" type:"path" help:"The file."`
}

// Run tells every problem, one to a line, with file, line and key.
func (c *configCheck) Run(w *world) error {
	values, err := config.FromFile(c.File)
	if err != nil {
		fmt.Fprintln(w.stderr, err)
	}
	_, errEnv := config.FromEnvironment(w.environ)
	if errEnv != nil {
		fmt.Fprintln(w.stderr, errEnv)
	}
	if err != nil || errEnv != nil {
		return errReported
	}
	_, err = fmt.Fprintf(w.stdout, "%s: ok, %d settings\n", c.File, len(values))
	return err
}

type configDefault struct{}

func (configDefault) Run(w *world) error { return config.WriteDefault(w.stdout) }

type configDoc struct{}

func (configDoc) Run(w *world) error { return config.WriteDoc(w.stdout) }
