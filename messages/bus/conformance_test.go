// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for _, l := range bustest.Layouts() {
		t.Run(l.Name, func(t *testing.T) { bustest.Run(t, l) })
	}
}
