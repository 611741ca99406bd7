// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/settings"
)

const (
	// adminPatience is how long Janus may take for a request to its admin API: test_stun waits for five seconds itself.
	adminPatience = 6 * time.Second
	// maxAdminCalls bounds the requests to Janus's admin API that are under way.
	maxAdminCalls = 16
	// settingsCheck is how often the settings are compared with what this Janus was told.
	settingsCheck = time.Second
)

// administrator puts requests of the cluster's Admin API to Janus, and what was set for the whole cluster. It works apart
// from the actor: nothing here may hold up clients.
type administrator struct {
	media *Media
	slots chan struct{}
	work  sync.WaitGroup
	ctx   context.Context // ends with the role
	stop  context.CancelFunc

	// The rest belongs to run.
	wanted map[string]messages.Setting
	told   map[string]uint64 // revisions that this Janus was told
	janus  time.Time         // since when it is up; another one has heard nothing
}

func newAdministrator(m *Media) *administrator {
	a := &administrator{
		media: m, slots: make(chan struct{}, maxAdminCalls),
		wanted: map[string]messages.Setting{}, told: map[string]uint64{},
	}
	a.ctx, a.stop = context.WithCancel(context.Background())
	return a
}

// start begins to follow the cluster's settings.
func (a *administrator) start() {
	if a.media.admin == nil {
		return
	}
	changes := make(chan messages.Setting)
	a.work.Go(func() {
		settings.Follow(a.ctx, a.media.options.Bus, a.media.log, func(s messages.Setting) {
			select {
			case changes <- s:
			case <-a.ctx.Done():
			}
		})
	})
	a.work.Go(func() { a.run(changes) })
}

// close ends everything that is under way.
func (a *administrator) close() {
	a.stop()
	a.work.Wait()
}

// take answers a message if it is one of the Admin API. It does not block.
func (a *administrator) take(m *bus.Msg) bool {
	if !messages.IsMediaAdmin(m.Subject) {
		return false
	}
	select {
	case a.slots <- struct{}{}:
		a.work.Go(func() {
			defer func() { <-a.slots }()
			a.answer(m.Reply, a.call(m.Data))
		})
	default:
		a.answer(m.Reply, messages.AdminResult{Failure: "too many requests to the admin API of this Janus", Busy: true})
	}
	return true
}

// answer tells the result; one that NATS does not take for its size becomes a failure.
func (a *administrator) answer(to string, r messages.AdminResult) {
	data, err := json.Marshal(r)
	if err == nil {
		err = a.media.publish(to, "", data)
	}
	if errors.Is(err, bus.ErrTooLarge) {
		a.answer(to, messages.AdminResult{Failure: "the reply of Janus is too large"})
	}
}

func (a *administrator) call(data []byte) messages.AdminResult {
	var c messages.AdminCall
	fields := map[string]json.RawMessage{}
	err := json.Unmarshal(data, &c)
	if err == nil && c.Fields != nil {
		err = json.Unmarshal(c.Fields, &fields)
	}
	if err != nil {
		return messages.AdminResult{Failure: "malformed request"}
	}
	return a.do(c.Verb, fields)
}

// do puts one request to Janus.
func (a *administrator) do(verb string, fields map[string]json.RawMessage) messages.AdminResult {
	if a.media.admin == nil {
		return messages.AdminResult{Failure: "media server has no admin API of its Janus"}
	}
	ctx, cancel := context.WithTimeout(a.ctx, adminPatience)
	defer cancel()
	values := make(map[string]any, len(fields))
	for k, v := range fields {
		values[k] = v
	}
	reply, err := a.media.admin.Do(ctx, verb, values)
	var refused *janusapi.Error
	switch {
	case errors.As(err, &refused):
		return messages.AdminResult{Error: &messages.Error{Code: messages.Code(refused.Code), Reason: refused.Reason}}
	case err != nil:
		a.media.log.Warn("admin API of Janus", "verb", verb, "error", err)
		return messages.AdminResult{Failure: "admin API of this Janus does not answer"}
	}
	return messages.AdminResult{Reply: reply}
}

// run tells Janus what was set for the cluster: when it changes, and when another Janus comes up.
func (a *administrator) run(changes <-chan messages.Setting) {
	check := time.NewTicker(settingsCheck)
	defer check.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case s := <-changes:
			if settings.ForSessions(s.Verb) {
				continue
			}
			a.wanted[s.Verb] = s
		case <-check.C:
		}
		if err := a.tell(); err != nil {
			a.media.log.Warn("settings not told to Janus", "error", err)
		}
	}
}

// tell tells Janus what it was not told yet. What Janus refuses is not told again: it may be too old or too new for it.
func (a *administrator) tell() error {
	beat := a.media.status.media.Load()
	if !beat.Serves() {
		return nil
	}
	if !a.janus.Equal(beat.Since) {
		a.janus = beat.Since
		clear(a.told)
	}
	for _, verb := range slices.Sorted(maps.Keys(a.wanted)) {
		s := a.wanted[verb]
		if a.told[verb] == s.Revision {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(s.Fields, &fields); err != nil {
			a.told[verb] = s.Revision
			return fmt.Errorf("%s: %w", verb, err)
		}
		r := a.do(verb, fields)
		if r.Failure != "" {
			return nil // was logged; the next check tries again
		}
		a.told[verb] = s.Revision
		if r.Error != nil {
			return fmt.Errorf("%s: %w", verb, r.Error)
		}
	}
	return nil
}
