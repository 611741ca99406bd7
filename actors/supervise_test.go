// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// clumsy is an actor that panics on every message but int, and on those that it is told have crashed it.
type clumsy struct {
	sum     int
	crashes int
}

func (c *clumsy) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case int:
		c.sum += m
	case string:
		panic(errors.New(m))
	}
}

func (c *clumsy) crashed(actor.Context, any) {
	if c.crashes++; c.crashes > 20 {
		panic("and again")
	}
}

// An actor that panics again and again, even where a panic is handled, keeps its state and goes on: the library's own
// strategies would stop it after ten.
func TestPanics(t *testing.T) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	defer system.Shutdown()
	c := &clumsy{}
	pid := system.Root.Spawn(propsFor(c, slog.New(slog.DiscardHandler)))
	for range 40 {
		system.Root.Send(pid, 1)
		system.Root.Send(pid, "oh")
	}
	system.Root.Send(pid, 2)
	if c.sum != 42 || c.crashes != 40 {
		t.Errorf("sum %d after %d crashes; want 42 after 40", c.sum, c.crashes)
	}
}
