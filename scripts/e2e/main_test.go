// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("16") // tests here wait for other processes most of the time
	}
	goleak.VerifyTestMain(m)
}
