// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package websocket

import (
	"context"
	"net"
)

// engine is empty where there is no epoll: every connection is a stream.
type engine struct{}

func (*engine) start(*Server) error                                 { return nil }
func (*engine) stop()                                               {}
func (*engine) serves(net.Listener) bool                            { return false }
func (*engine) accept(context.Context, *Server, net.Listener) error { return nil }

func descriptorBudget() int { return fallbackMaxConns }
