// SPDX-License-Identifier: Apache-2.0

// Package netpoll is a small epoll loop over raw descriptors: one goroutine,
// level triggered, no allocation per event.
//
// The epoll descriptor is itself watched by Go's own poller, so a loop with
// nothing to do is a parked goroutine. Blocking in epoll_wait instead keeps a
// processor from the others until the runtime notices: with as many loops as
// processors and 32 clients in a closed loop that doubled the time per message.
//
// It exists because a goroutine and a net.Conn for each idle client cost
// kilobytes, a slot in a table costs a few bytes. It knows descriptors and
// nothing of what is read from them. Linux only; elsewhere the package is
// empty and its users fall back to goroutines.
package netpoll
