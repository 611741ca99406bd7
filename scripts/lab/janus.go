// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

// bootTime is how long a process of the rig may take until it serves.
const bootTime = 20 * time.Second

// JanusServer is a real Janus.
type JanusServer struct {
	*Process
	// Config is the completed configuration: ports, names, secrets, addresses.
	Config janusproc.Config
}

// JanusConfig is the configuration of a Janus under test; the tests of the edge take it from here, as they may not import
// what belongs to the media role.
type JanusConfig = janusproc.Config

// Janus starts a real Janus on free ports and returns when it answers. Each change may alter the configuration first; the
// name, which must be unique among those alive, and the folder are set already.
func Janus(tb TB, changes ...func(*janusproc.Config)) *JanusServer {
	tb.Helper()
	const tries = 3
	for try := 1; ; try++ {
		j, err := tryJanus(tb, changes)
		if err == nil {
			return j
		}
		if try == tries {
			tb.Fatalf("Janus: %v", err)
		}
		// A port drawn for it was taken by somebody else meanwhile.
		tb.Logf("Janus: %v, starting again", err)
		j.Kill()
	}
}

// FromFolder is a change for Janus that runs the one installed in a folder which holds a whole system, as debootstrap makes
// it, through that system's own loader. Another version than the machine's is tested so.
func FromFolder(tb TB, root string) func(*janusproc.Config) {
	tb.Helper()
	find := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			tb.Fatalf("no system with a Janus in %s: %s is missing", root, pattern)
		}
		return found[0]
	}
	folder := find("usr/lib/*/janus")
	loader := find("lib*/ld-linux-*.so.*")
	binary := find("usr/bin/janus")
	return func(c *janusproc.Config) {
		c.Command = []string{loader, "--library-path", filepath.Dir(folder) + ":" + folder, binary}
		c.LibFolder = folder
	}
}

// forkyVariable names, in the environment, the folder that Forky takes its Janus from, instead of .cache/forky of the module.
const forkyVariable = "LAB_FORKY"

// Forky is a change for Janus that runs the one of Debian 14, which scripts/lab/forky.sh unpacks.
func Forky(tb TB) func(*janusproc.Config) {
	tb.Helper()
	folder := os.Getenv(forkyVariable)
	if folder == "" {
		root, err := moduleRoot()
		if err != nil {
			tb.Fatalf("Janus: %v", err)
		}
		folder = filepath.Join(root, ".cache", "forky")
	}
	if _, err := os.Stat(filepath.Join(folder, "usr/bin/janus")); err != nil {
		tb.Fatalf("the second Janus to test with is missing: scripts/test install unpacks it (%v)", err)
	}
	return FromFolder(tb, folder)
}

func tryJanus(tb TB, changes []func(*janusproc.Config)) (*JanusServer, error) {
	tb.Helper()
	folder := tb.TempDir()
	c := janusproc.Config{Folder: folder, Name: "lab-" + uniqueName(), ICEAddress: Address(tb)}
	for _, change := range changes {
		change(&c)
	}
	c, err := janusproc.Write(c)
	if err != nil {
		tb.Fatalf("Janus: %v", err)
	}
	j := &JanusServer{Config: c, Process: startProcess(tb, c.Name, c.CommandLine(), nil)}
	return j, j.ready()
}

func (j *JanusServer) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), bootTime)
	defer cancel()
	if err := janusproc.WaitReady(ctx, j.Config, j.Done()); err != nil {
		return fmt.Errorf("%w; its log: %s", err, j.Log())
	}
	return nil
}

// WSURL is the address of its Janus API.
func (j *JanusServer) WSURL() string { return j.Config.WSURL() }

// Restart kills the Janus if it runs and starts it anew on the same ports. Nothing of its sessions and rooms is left.
func (j *JanusServer) Restart() {
	j.tb.Helper()
	j.Kill()
	j.start()
	if err := j.ready(); err != nil {
		j.tb.Fatalf("restart: %v", err)
	}
}
