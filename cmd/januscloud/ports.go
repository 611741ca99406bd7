// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"syscall"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
)

// freeOr is the address if nobody listens there, else the same host with a free port, and a notice. The address is not
// held: somebody may still come between.
func (p *process) freeOr(ctx context.Context, a config.Address, flag string) (config.Address, error) {
	if a.Off() {
		return a, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(a))
	if err == nil {
		return a, listener.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	p.log.Warn("port is taken, using a free one", "flag", flag, "address", string(a))
	return config.Address(net.JoinHostPort(host, "0")), nil
}

// portOf is the port of a URL.
func portOf(address string) (int, error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Port())
}
