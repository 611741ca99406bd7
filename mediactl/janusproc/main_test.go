// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// parentRole is set in a copy of the test binary that is to start a child and be killed.
const parentRole = "JANUSPROC_TEST_PARENT"

func TestMain(m *testing.M) {
	if script := os.Getenv(parentRole); script != "" {
		parent(script, os.Getenv(parentRole+"_OUTLIVE") != "")
		return
	}
	goleak.VerifyTestMain(m)
}

// parent starts a shell script, tells its process id and waits to be killed.
func parent(script string, outlive bool) {
	// Not a file, so that the output takes a pipe through us.
	stdout := struct{ io.Writer }{os.Stderr}
	p, err := Start(Command{Args: []string{"sh", "-c", script}, Stdout: stdout, Outlive: outlive})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	time.Sleep(time.Hour) //house:sleep this is the process that waits to be killed
}

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// eventually waits until check returns "".
func eventually(t *testing.T, check func() (reason string)) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		reason := check()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(reason)
		}
	}
}
