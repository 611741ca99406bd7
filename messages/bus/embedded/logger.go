// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

// logger gives the server's log to slog, and keeps its last words: after a fatal error the
// server shuts itself down, and its log is the only place that says why.
type logger struct {
	to   *slog.Logger
	last atomic.Pointer[string]
}

var _ server.Logger = (*logger)(nil)

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to: to}
}

// fatal answers the reason why the server gave up, empty if it did not.
func (l *logger) fatal() string {
	if s := l.last.Load(); s != nil {
		return *s
	}
	return ""
}

// Fatalf keeps and logs why the server ends.
func (l *logger) Fatalf(format string, v ...any) {
	s := fmt.Sprintf(format, v...)
	l.last.Store(&s)
	l.to.Error("NATS server gave up", "reason", s)
}

// Errorf logs an error.
func (l *logger) Errorf(format string, v ...any) {
	l.to.Error("NATS server", "message", fmt.Sprintf(format, v...))
}

// Warnf logs a warning.
func (l *logger) Warnf(format string, v ...any) {
	l.to.Warn("NATS server", "message", fmt.Sprintf(format, v...))
}

// Noticef logs what the server does, at debug level.
func (l *logger) Noticef(format string, v ...any) {
	l.to.Debug("NATS server", "message", fmt.Sprintf(format, v...))
}

// Debugf is never called: debug logging of the server is off.
func (l *logger) Debugf(string, ...any) {}

// Tracef is never called: tracing of the server is off.
func (l *logger) Tracef(string, ...any) {}
