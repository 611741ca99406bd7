// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

// ownAddress is given to an interface of ours where a machine has no address of its own: from the block set aside for
// benchmarks (RFC 2544), so it is nobody's.
const ownAddress = "198.18.0.1"

// interfaceKinds are ways to an interface that is up without any wire; not every kernel knows all of them.
func interfaceKinds() []string {
	return []string{
		"ip link add januscloud0 type dummy",
		"ip link add januscloud0 type ifb",
		"ip link add januscloud0 type veth peer name januscloud1 && ip link set januscloud1 up",
	}
}

// Address is the machine's first global IPv4 address, for ICE: Janus offers no loopback candidates, and packets to an own
// address stay in the kernel. Where there is only loopback, an interface is added, which takes root and stays.
func Address(tb TB) string {
	tb.Helper()
	address, err := janusproc.GlobalAddress()
	if err == nil {
		return address
	}
	if !errors.Is(err, janusproc.ErrNoAddress) {
		tb.Fatalf("address: %v", err)
	}
	var tried []string
	for _, kind := range interfaceKinds() {
		command := kind + " && ip address add " + ownAddress + "/32 dev januscloud0 && ip link set januscloud0 up"
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		// Another process may have been first: what counts is the address.
		if address, lost := janusproc.GlobalAddress(); lost == nil {
			return address
		}
		tried = append(tried, fmt.Sprintf("%s: %v: %s", kind, err, strings.TrimSpace(string(out))))
	}
	tb.Fatalf("this machine has only loopback, and no interface could be added:\n%s", strings.Join(tried, "\n"))
	return ""
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
