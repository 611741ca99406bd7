// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// raceVariable, set to anything, makes Binary build with the race detector.
	raceVariable = "LAB_RACE"
	// BinaryVariable names, in the environment, a januscloud program that Binary is to use instead of building one.
	BinaryVariable = "LAB_BINARY"
)

// Binary builds the januscloud program and returns its path. The go tool's cache makes all but the first build of a version
// quick. With LAB_RACE set in the environment the race detector is in it, and each Role checks for its reports. With LAB_BINARY
// set nothing is built: that is the program, and stays the same while sources change.
func Binary(tb TB) string {
	tb.Helper()
	if given := os.Getenv(BinaryVariable); given != "" {
		return given
	}
	if os.Getenv(raceVariable) != "" {
		return build(tb, "januscloud-race", "-race", "./cmd/januscloud")
	}
	return build(tb, "januscloud", "./cmd/januscloud")
}

// NATSBinary builds the NATS server of go.mod's version and returns its path.
func NATSBinary(tb TB) string {
	tb.Helper()
	return build(tb, "nats-server", "github.com/nats-io/nats-server/v2")
}

// build runs go build into the module's cache folder, one at a time for all processes that test at once.
func build(tb TB, name string, args ...string) string {
	tb.Helper()
	root, err := moduleRoot()
	if err != nil {
		tb.Fatalf("build: %v", err)
	}
	cache := filepath.Join(root, ".cache", "lab")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		tb.Fatalf("build: %v", err)
	}
	lock, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		tb.Fatalf("build: %v", err)
	}
	defer lock.Close() // ends the lock as well
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		tb.Fatalf("build: lock: %v", err)
	}
	binary := filepath.Join(cache, name)
	cmd := exec.Command("go", append([]string{"build", "-o", binary}, args...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return binary
}

// moduleRoot is the folder with go.mod, here or above.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod here or above")
		}
		dir = parent
	}
}
