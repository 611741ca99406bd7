// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/bench/proc"
)

// machine is where and with what a result was found. Figures of different machines are not to be compared.
type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Kernel     string `json:"kernel"`
	LoadBefore string `json:"load_before"` // average of the last minute
	LoadAfter  string `json:"load_after"`
	Go         string `json:"go"`
	Janus      string `json:"janus"`
	NATS       string `json:"nats"`
	Commit     string `json:"commit"` // "-dirty" where something was not committed
}

func describe(tb lab.TB) machine {
	return machine{
		CPU: proc.CPUModel(), Cores: runtime.NumCPU(), Kernel: proc.Kernel(), LoadBefore: proc.Load(),
		Go: runtime.Version(), Janus: janusVersion(tb), NATS: natsVersion(tb), Commit: commit(),
	}
}

// janusVersion is what "janus --version" says: "Janus version: 1102 (1.1.2)" on its first line.
func janusVersion(tb lab.TB) string {
	out, err := exec.Command("janus", "--version").CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) { // it ends with 1, having said it
		tb.Fatalf("Janus: %v", err)
	}
	_, version, _ := strings.Cut(string(out), "(")
	version, _, found := strings.Cut(version, ")")
	if !found {
		return "unknown"
	}
	return version
}

func natsVersion(tb lab.TB) string {
	out, err := exec.Command(lab.NATSBinary(tb), "--version").Output()
	if err != nil {
		tb.Fatalf("NATS: %v", err)
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), ": ")
	return version
}

// commit is the one that this program was built of, as the go tool noted it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return "unknown"
	}
	if settings["vcs.modified"] == "true" {
		revision += "-dirty"
	}
	return revision
}
