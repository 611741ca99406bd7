// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// CPUModel is how the first processor calls itself; "unknown" where it does not.
func CPUModel() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	return parseModel(string(content))
}

func parseModel(content string) string {
	for line := range strings.Lines(content) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// Kernel is the release of the running kernel.
func Kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Load is how many processes wanted to run during the last minute, as the kernel writes it: what else the machine is doing.
func Load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(content), " ")
	return one
}

// Descriptors raises the number of files that this process may have open to what it may raise it to, and returns that.
func Descriptors() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("proc: limit of descriptors: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("proc: limit of descriptors: %w", err)
	}
	return limit.Cur, nil
}
