// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("16") // tests here wait for other processes most of the time
	}
	remove := func() {}
	if os.Getenv(lab.BinaryVariable) == "" {
		var err error
		if remove, err = buildOnce(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		remove()
		os.Exit(code)
	}))
}

// buildOnce builds the program that all tests here run: dozens of processes, which must be the same whatever is built meanwhile.
func buildOnce() (remove func(), err error) {
	var folder string
	err = lab.Run("build", func(tb lab.TB) {
		program, err := os.ReadFile(lab.Binary(tb))
		if err != nil {
			tb.Fatalf("%v", err)
		}
		if folder, err = os.MkdirTemp("", "januscloud-e2e-"); err != nil {
			tb.Fatalf("%v", err)
		}
		copied := filepath.Join(folder, "januscloud")
		if err := os.WriteFile(copied, program, 0o755); err != nil {
			tb.Fatalf("%v", err)
		}
		if err := os.Setenv(lab.BinaryVariable, copied); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return func() { _ = os.RemoveAll(folder) }, err
}
