// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
)

const (
	samplePorts = 5
	minRTPPorts = 20

	// Listening ports are drawn below the range that Linux hands to outgoing connections, so that a busy machine does not take
	// one between our look and Janus's bind.
	tcpFirst, tcpLast = 10000, 31999

	// So are the blocks, since Janus goes without a mountpoint whose port is taken, and only logs it.
	rtpFirst, rtpLast, rtpBlock = 10000, 32499, 500

	portTries = 200
)

// withPorts chooses every port that was left open. A port that is free now may be taken before Janus binds it; whoever starts
// a Janus on chosen ports asks for its name afterwards (Probe) and starts again where another answers.
func (c Config) withPorts() (Config, error) {
	free, err := FreePorts(c.Bind, 4)
	if err != nil {
		return c, err
	}
	for i, port := range []*int{&c.WSPort, &c.AdminWSPort, &c.HTTPPort, &c.AdminHTTPPort} {
		setDefault(port, free[i])
	}
	if c.RTPMin == 0 {
		first, mark, err := freeRTP()
		if err != nil {
			return c, err
		}
		c.RTPMin, c.RTPMax, c.mark = first, first+rtpBlock-1, mark
	}
	return c, nil
}

// FreePorts draws n different TCP ports that are free on host, an address, at the moment. Others may take them before they
// are bound: be ready to draw again.
func FreePorts(host string, n int) ([]int, error) {
	var ports []int
	for range portTries {
		if len(ports) == n {
			break
		}
		port := tcpFirst + rand.IntN(tcpLast-tcpFirst+1)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		// Held until all are found, so that no two are the same.
		defer l.Close()
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("janusproc: no %d free TCP ports on %s between %d and %d", n, host, tcpFirst, tcpLast)
	}
	return ports, nil
}

// freeRTP draws a block whose highest ports can be bound. Each Janus binds those for its stock mountpoints as long as it
// lives, which marks the block as its own. Until it does, the block's first port is held: mark, to be closed then.
func freeRTP() (first int, mark net.PacketConn, err error) {
	for range portTries {
		first := rtpFirst + rtpBlock*rand.IntN((rtpLast-rtpFirst+1)/rtpBlock)
		mark, err := net.ListenPacket("udp", ":"+strconv.Itoa(first))
		if err != nil {
			continue
		}
		if udpFree(first+rtpBlock-samplePorts, samplePorts) {
			return first, mark, nil
		}
		_ = mark.Close()
	}
	return 0, nil, errors.New("janusproc: no free block of RTP ports")
}

func udpFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		c, err := net.ListenPacket("udp", ":"+strconv.Itoa(port))
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	return true
}

// GlobalAddress is the machine's first IPv4 address that Janus can offer as a candidate: on an interface that is up and has a
// carrier, neither loopback nor link-local (ice.c). ErrNoAddress where there is none.
func GlobalAddress() (string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("janusproc: interfaces: %w", err)
	}
	for _, i := range interfaces {
		const wanted = net.FlagUp | net.FlagRunning
		if i.Flags&wanted != wanted || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err == nil && prefix.Addr().Is4() && prefix.Addr().IsGlobalUnicast() {
				return prefix.Addr().String(), nil
			}
		}
	}
	return "", ErrNoAddress
}
