// Package netpoll is a small epoll loop over raw descriptors: one goroutine,
// level triggered, no allocation per event.
//
// It exists because a goroutine and a net.Conn for each idle client cost
// kilobytes, a slot in a table costs a few bytes. It knows descriptors and
// nothing of what is read from them. Linux only; elsewhere the package is
// empty and its users fall back to goroutines.
package netpoll
