package lab

import (
	"crypto/rand"
	"errors"
	"os/exec"
	"strings"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

// dummyAddress is given to a dummy interface where a machine has no address of its own: from the block set aside for
// benchmarks (RFC 2544), so it is nobody's.
const dummyAddress = "198.18.0.1"

// Address is the machine's first global IPv4 address, for ICE: Janus offers no loopback candidates, and packets to an own
// address stay in the kernel. Where there is only loopback, a dummy interface is added, which takes root.
func Address(tb TB) string {
	tb.Helper()
	address, err := janusproc.GlobalAddress()
	if err == nil {
		return address
	}
	if !errors.Is(err, janusproc.ErrNoAddress) {
		tb.Fatalf("address: %v", err)
	}
	for _, command := range [][]string{
		{"ip", "link", "add", "januscloud0", "type", "dummy"},
		{"ip", "address", "add", dummyAddress + "/32", "dev", "januscloud0"},
		{"ip", "link", "set", "januscloud0", "up"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil && !strings.Contains(string(out), "exists") {
			tb.Fatalf("this machine has only loopback, and adding a dummy interface failed: %s: %v: %s",
				strings.Join(command, " "), err, out)
		}
	}
	return dummyAddress
}

// uniqueName is a random word, safe in subjects and in Janus's configuration.
func uniqueName() string { return strings.ToLower(rand.Text()[:8]) }

// freePorts are n different TCP ports that are free on loopback now.
func freePorts(tb TB, n int) []int {
	tb.Helper()
	ports, err := janusproc.FreePorts("127.0.0.1", n)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return ports
}
