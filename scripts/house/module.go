// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// MaxDependencies is how many modules may be imported directly.
const MaxDependencies = 20

// Dependencies are the modules that may be imported, each with what it is for. A new one needs a reason here.
func Dependencies() map[string]string {
	return map[string]string{
		"github.com/HdrHistogram/hdrhistogram-go": "latencies of benchmarks, exact in the tail",
		"github.com/alecthomas/kong":              "the command line",
		"github.com/asynkron/protoactor-go":       "actors; its package actor alone",
		"github.com/cenkalti/backoff/v5":          "pauses between attempts",
		"github.com/chromedp/cdproto":             "names of what chromedp speaks of",
		"github.com/chromedp/chromedp":            "browsers in tests",
		"github.com/gobwas/ws":                    "WebSocket frames and handshakes without a goroutine per connection",
		"github.com/nats-io/nats-server/v2":       "NATS inside dev and tests",
		"github.com/nats-io/nats.go":              "the network between roles",
		"github.com/pion/rtp":                     "packets with numbers, in chaos",
		"github.com/pion/webrtc/v4":               "peers with real media that need no browser, in chaos",
		"github.com/prometheus/client_golang":     "metrics",
		"github.com/prometheus/client_model":      "metrics as tests read them",
		"github.com/rogpeppe/go-internal":         "golden files in txtar form",
		"go.uber.org/goleak":                      "tests that leave no goroutine behind",
		"go.yaml.in/yaml/v3":                      "the configuration file",
		"golang.org/x/sync":                       "groups of goroutines with one error",
		"golang.org/x/sys":                        "epoll, descriptors and process limits",
		"golang.org/x/time":                       "rates of load in benchmarks",
	}
}

// Packages finds packages without a comment that says what they are for.
func Packages(sources []*Source) []Problem {
	documented, first := map[string]bool{}, map[string]*Source{}
	for _, s := range sources {
		if s.Test() {
			continue
		}
		if first[s.Package()] == nil {
			first[s.Package()] = s
		}
		if s.File.Doc != nil {
			documented[s.Package()] = true
		}
	}
	var problems []Problem
	for folder, s := range first {
		if !documented[folder] {
			problems = append(problems, s.problem(s.File.Package, "package %s has no comment", s.File.Name.Name))
		}
	}
	return problems
}

// Tail tells when the longest five in a hundred functions are too long, all of them together.
func Tail(sources []*Source) []Problem {
	var lengths []int
	for _, s := range sources {
		if s.Test() {
			continue
		}
		for _, n := range s.functions() {
			lengths = append(lengths, n)
		}
	}
	if len(lengths) == 0 {
		return nil
	}
	slices.Sort(lengths)
	if p95 := lengths[len(lengths)*95/100]; p95 > MaxTail {
		return []Problem{{File: "go.mod", Line: 1, Text: fmt.Sprintf("95 %% of the functions have up to %d lines, %d at most", p95, MaxTail)}}
	}
	return nil
}

// Modules are the paths of the modules that a go.mod requires.
func Modules(gomod []byte) []string {
	var paths []string
	scanner := bufio.NewScanner(bytes.NewReader(gomod))
	for scanner.Scan() {
		fields := strings.Fields(strings.TrimPrefix(scanner.Text(), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			paths = append(paths, fields[0])
		}
	}
	return paths
}

// Direct finds imports of modules that nobody allowed, and too many modules.
func Direct(sources []*Source, modules []string) []Problem {
	allowed := Dependencies()
	used := map[string]bool{}
	var problems []Problem
	for _, s := range sources {
		for _, i := range s.File.Imports {
			module := moduleOf(strings.Trim(i.Path.Value, `"`), modules)
			if module == "" {
				continue
			}
			used[module] = true
			if allowed[module] == "" {
				problems = append(problems, s.problem(i.Pos(), "module %s is not among the allowed ones (scripts/house/module.go), with a reason", module))
			}
		}
	}
	if len(used) > MaxDependencies {
		problems = append(problems, Problem{"go.mod", 1, fmt.Sprintf("%d modules are imported directly, %d at most", len(used), MaxDependencies)})
	}
	return problems
}

// moduleOf is the required module that an import belongs to; empty for the standard library and ours.
func moduleOf(path string, modules []string) string {
	best := ""
	for _, m := range modules {
		if within(path, m) && len(m) > len(best) {
			best = m
		}
	}
	return best
}
