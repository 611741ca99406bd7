// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// commentWidth is where lines of comments end.
	commentWidth = 100
	preamble     = "Settings of januscloud: every key is also a flag (--key) and a variable (JANUSCLOUD_KEY, with _ for -). " +
		"A flag wins over the environment, the environment over this file. The values below are the defaults. " +
		"One file can serve all processes: each takes what its command knows. Check it with 'januscloud config check FILE'."
)

// WriteDefault writes a file with every setting, its documentation and its default. Read back, it changes nothing.
func WriteDefault(w io.Writer) error {
	var b bytes.Buffer
	comment(&b, preamble)
	group := ""
	for _, f := range Fields() {
		if f.Name == "config" {
			continue
		}
		if g := f.Uses[0].Group; g != group {
			group = g
			fmt.Fprintf(&b, "\n# --- %s (%s)\n", g, f.Uses[0].Commands)
		}
		b.WriteByte('\n')
		for i, u := range f.Uses {
			if i > 0 {
				comment(&b, "In "+u.Commands+" (default "+u.Default+"): "+u.Help)
				continue
			}
			comment(&b, u.Help)
		}
		value, err := f.Uses[0].yaml()
		if err != nil {
			return fmt.Errorf("default of %s: %w", f.Name, err)
		}
		if len(f.Uses) > 1 {
			b.WriteString("# ") // the default differs between commands
		}
		fmt.Fprintf(&b, "%s: %s\n", f.Name, value)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// yaml is the default as it stands in a file.
func (u Use) yaml() (string, error) {
	var node yaml.Node
	switch {
	case u.Sep != "":
		node = yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, part := range splitList(u.Default, u.Sep) {
			node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: part, Style: yaml.DoubleQuotedStyle})
		}
	case u.Default == "" || strings.ContainsAny(u.Default, ":"):
		node = yaml.Node{Kind: yaml.ScalarNode, Value: u.Default, Style: yaml.DoubleQuotedStyle}
	default:
		node = yaml.Node{Kind: yaml.ScalarNode, Value: u.Default}
	}
	text, err := yaml.Marshal(&node)
	return strings.TrimSpace(string(text)), err
}

// comment writes text as lines of comment.
func comment(b *bytes.Buffer, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > commentWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// WriteDoc writes the reference of all settings as Markdown.
func WriteDoc(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Settings\n\n" + preambleDoc + "\n")
	group := ""
	for _, f := range Fields() {
		for _, u := range f.Uses {
			if u.Group != group {
				group = u.Group
				fmt.Fprintf(&b, "\n## %s\n\nUsed by: %s.\n\n| flag and key | variable | default | |\n|---|---|---|---|\n", group, u.Commands)
			}
			value := ""
			if u.Default != "" {
				value = "`" + u.Default + "`"
			}
			fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", f.Name, f.Env, value, strings.ReplaceAll(u.Help, "|", "\\|"))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

const preambleDoc = "Every setting is a flag, an environment variable and a key of the YAML file that `--config` names; in this order they win. " +
	"This page is written by `januscloud config doc`."
