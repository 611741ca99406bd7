// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// household is a steward in fake time, with a Janus that says what the test wants. Its fields are looked at while the
// steward rests.
type household struct {
	*steward
	t       *testing.T
	answers map[string][]messages.PluginReply // by reply subject
	lines   []*wire
	dials   int
	absent  bool // connecting fails
	down    bool
	limit   int // of an answer, in bytes; 0: none
	// manner answers a message to Janus, on the steward's goroutine; nil: as Janus would, with a success.
	manner func(w *wire, r map[string]any) bool
}

// wire is one connection of a household.
type wire struct {
	house  *household
	link   *link
	said   chan any
	sent   []map[string]any
	refuse error // of Send
	closed bool
}

func (w *wire) Send(message []byte) error {
	if w.refuse != nil {
		return w.refuse
	}
	var r map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(message)))
	decoder.UseNumber()
	if err := decoder.Decode(&r); err != nil {
		w.house.t.Errorf("sent to Janus: %s: %v", message, err)
	}
	w.sent = append(w.sent, r)
	if w.house.manner == nil || !w.house.manner(w, r) {
		w.answer(r)
	}
	return nil
}

func (w *wire) Close() {
	if !w.closed {
		w.closed = true
		w.said <- closed{w.link, janusapi.ErrClosed}
		close(w.said)
	}
}

// say lets Janus say something.
func (w *wire) say(format string, args ...any) {
	if !w.closed {
		w.said <- &received{w.link, fmt.Appendf(nil, format, args...)}
	}
}

func (w *wire) answer(r map[string]any) {
	switch tx := r["transaction"]; r["janus"] {
	case "create", "attach":
		w.say(`{"janus":"success","transaction":"%s","data":{"id":%d}}`, tx, 10*len(w.house.lines)+len(w.sent))
	case "message":
		w.data(r)
	case "keepalive":
		w.say(`{"janus":"ack","transaction":"%s"}`, tx)
	default:
		w.say(`{"janus":"success","transaction":"%s"}`, tx)
	}
}

func (w *wire) data(r map[string]any) {
	w.say(`{"janus":"success","transaction":"%s","sender":%v,"plugindata":{"plugin":"p","data":{"done":1}}}`, r["transaction"], r["handle_id"])
}

// count counts what Janus was sent of a kind.
func (h *household) count(verb string) int {
	n := 0
	for _, w := range h.lines {
		for _, r := range w.sent {
			if r["janus"] == verb {
				n++
			}
		}
	}
	return n
}

// keepHouse runs a test in fake time, and stops the steward behind it.
func keepHouse(t *testing.T, test func(t *testing.T, h *household)) {
	synctest.Test(t, func(t *testing.T) {
		h := &household{t: t, answers: map[string][]messages.PluginReply{}}
		h.steward = newSteward(&Media{
			log: slog.New(slog.DiscardHandler), metrics: newMetrics(), status: newStatus(time.Now()),
		})
		h.serves = func() bool { return !h.down }
		h.publish, h.connect = h.onAnswer, h.onConnect
		test(t, h)
		begun := time.Now()
		h.stop()
		h.wait()
		if took := time.Since(begun); took > 2*stewardLinger+2*stewardTick {
			t.Errorf("stopped after %v", took)
		}
	})
}

func (h *household) onAnswer(subject, _ string, data []byte) error {
	if h.limit != 0 && len(data) > h.limit {
		return bus.ErrTooLarge
	}
	var r messages.PluginReply
	if err := json.Unmarshal(data, &r); err != nil {
		h.t.Errorf("%s: %v", data, err)
	}
	h.answers[subject] = append(h.answers[subject], r)
	return nil
}

func (h *household) onConnect(context.Context) error {
	h.dials++
	if h.absent {
		return syscall.ECONNREFUSED
	}
	w := &wire{house: h, said: make(chan any, 1<<12)}
	w.link = &link{carrier: w}
	h.lines = append(h.lines, w)
	go func() {
		for m := range w.said {
			h.tell(m)
		}
	}()
	h.tell(dialled{w.link})
	return nil
}

// request sends a request, without waiting for anything.
func (h *household) request(to, id string) {
	h.t.Helper()
	data, err := json.Marshal(messages.PluginRequest{ID: id, Plugin: echotest, Body: body(to)})
	if err != nil {
		h.t.Fatal(err)
	}
	if !h.take(&bus.Msg{Subject: messages.MediaPlugin(messages.Member{Name: "media-1", Inc: "i"}), Reply: to, Data: data}) {
		h.t.Fatal("not taken")
	}
}

// live lets time pass. What the test has changed the steward sees.
func (h *household) live(d time.Duration) {
	h.tell(nil) // means nothing to it
	time.Sleep(d)
	synctest.Wait()
}

// want wants the only answer to a reply subject: data if reason is empty, else an error.
func (h *household) want(to, reason string) {
	h.t.Helper()
	got := h.answers[to]
	switch {
	case len(got) != 1:
		h.t.Errorf("%s: %d answers", to, len(got))
	case reason == "":
		wantData(h.t, got[0], `{"done":1}`)
	case got[0].Error == nil || !strings.Contains(got[0].Error.Reason, reason):
		h.t.Errorf("%s: want %q, got %s, %v", to, reason, got[0].Data, got[0].Error)
	}
}

// TestStewardDeadline answers in time though Janus does not, runs nothing twice, and gives a late answer to a late repeat.
func TestStewardDeadline(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		var late map[string]any
		h.manner = func(_ *wire, r map[string]any) bool {
			mute := r["janus"] == "message" && late == nil
			if mute {
				late = r
			}
			return mute
		}
		h.start()
		h.request("slow", "1")
		h.live(time.Second)
		h.request("behind", "2")
		h.live(pluginDeadline - time.Second - 1)
		if len(h.answers) != 0 {
			t.Errorf("answered before the deadline: %v", h.answers)
		}
		h.live(2 * stewardTick)
		h.want("slow", "in time")
		h.want("behind", "") // its turn came
		h.request("slow again", "1")
		h.live(time.Second)
		h.want("slow again", "in time")
		h.lines[0].data(late)
		h.live(time.Second)
		h.request("slow at last", "1")
		h.live(time.Second)
		h.want("slow at last", "")
		h.live(deadline + time.Second)
		h.request("forgotten", "2")
		h.live(deadline + time.Second)
		h.want("forgotten", "")
		if n := h.count("message"); n != 3 || len(h.answers["slow"]) != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestStewardWaitsInVain does not take for run what never left.
func TestStewardWaitsInVain(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		mute := true
		h.manner = func(*wire, map[string]any) bool { return mute }
		h.start()
		h.request("first", "1")
		h.live(pluginDeadline + time.Second)
		h.want("first", "in time")
		mute = false
		h.request("again", "1")
		h.live(time.Second)
		h.want("again", "")
		if n := h.count("message"); n != 1 || h.dials != 2 {
			t.Errorf("%d messages, %d connections", n, h.dials)
		}
	})
}

// TestStewardIdle keeps the session alive while it is used, and ends it thereafter.
func TestStewardIdle(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.start()
		for range 10 {
			h.request("used", "")
			h.live(lineIdle - time.Second)
		}
		if h.dials != 1 || h.lines[0].closed || h.count("keepalive") < 28 {
			t.Errorf("%d connections, %d keepalives", h.dials, h.count("keepalive"))
		}
		h.live(2 * time.Second)
		if !h.lines[0].closed || h.count("destroy") != 1 {
			t.Errorf("idle: closed %v, %d times destroyed", h.lines[0].closed, h.count("destroy"))
		}
		h.request("next", "")
		h.live(time.Second)
		h.want("next", "")
		if h.dials != 2 {
			t.Errorf("%d connections", h.dials)
		}
	})
}

// TestStewardBusy bounds what waits.
func TestStewardBusy(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.manner = func(_ *wire, r map[string]any) bool { return r["janus"] == "message" }
		for i := range maxPluginCalls {
			h.request(fmt.Sprint("queued ", i), "")
		}
		h.request("before", "")
		h.want("before", "busy")
		h.start()
		h.live(time.Second)
		h.request("behind", "")
		h.live(time.Second)
		h.want("behind", "busy")
		if len(h.answers) != 2 {
			t.Errorf("%d answers", len(h.answers))
		}
		h.manner = nil
		h.lines[0].data(h.lines[0].sent[len(h.lines[0].sent)-1])
		h.live(time.Second)
		if len(h.answers) != maxPluginCalls+2 {
			t.Errorf("%d answers", len(h.answers))
		}
	})
}

// TestStewardAskers bounds who waits for one answer.
func TestStewardAskers(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.manner = func(_ *wire, r map[string]any) bool { return r["janus"] == "message" }
		h.start()
		for i := range maxAskers {
			h.request(fmt.Sprint(i), "1")
			h.request(fmt.Sprint(i), "1") // once more with the same subject: one answer
		}
		h.request("too many", "1")
		h.live(time.Second)
		h.want("too many", "busy")
		h.lines[0].data(h.lines[0].sent[2])
		h.live(time.Second)
		for i := range maxAskers {
			h.want(fmt.Sprint(i), "")
		}
	})
}

// TestStewardNoConnection answers at once when Janus is not to be had, and tries again for the next request.
func TestStewardNoConnection(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.absent = true
		h.request("first", "1")
		h.start()
		h.live(0)
		h.want("first", "lost its Janus")
		h.absent = false
		h.request("second", "1")
		h.live(0)
		h.want("second", "")
		h.down = true
		h.request("down", "2")
		h.request("known", "1")
		h.live(0)
		h.want("down", "lost its Janus")
		h.want("known", "")
	})
}

// TestStewardSecondConnection has connections end before anything is sent: there are two, and not three.
func TestStewardSecondConnection(t *testing.T) {
	for _, broken := range []int{1, 2} {
		keepHouse(t, func(t *testing.T, h *household) {
			h.manner = func(w *wire, r map[string]any) bool {
				if len(h.lines) <= broken && r["janus"] == "attach" {
					w.Close()
					return true
				}
				return false
			}
			h.start()
			h.request("x", "1")
			h.live(time.Second)
			if broken == 1 {
				h.want("x", "")
			} else {
				h.want("x", "lost its Janus")
			}
			if h.dials != 2 || h.count("destroy") != 1 {
				t.Errorf("%d connections, %d times destroyed", h.dials, h.count("destroy"))
			}
		})
	}
}

// TestStewardNotTaken waits for a connection that takes nothing for a while.
func TestStewardNotTaken(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.start()
		h.request("first", "")
		h.live(time.Second)
		h.lines[0].refuse = janusapi.ErrBusy
		h.request("second", "")
		h.live(time.Second)
		h.lines[0].refuse = nil
		h.live(time.Second)
		h.want("second", "")
	})
}

// TestStewardRefusedSession passes on why Janus makes no session, and closes the connection.
func TestStewardRefusedSession(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.manner = func(w *wire, r map[string]any) bool {
			if r["janus"] == "create" {
				w.say(`{"janus":"error","transaction":"%s","error":{"code":403,"reason":"Unauthorized"}}`, r["transaction"])
			}
			return r["janus"] == "create"
		}
		h.start()
		h.request("x", "1")
		h.live(time.Second)
		h.want("x", "Unauthorized")
		if !h.lines[0].closed {
			t.Error("the connection stays")
		}
	})
}

// TestStewardNoPlugin forgets a plugin that Janus has not: whoever asks must not fill the memory with names.
func TestStewardNoPlugin(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.manner = func(w *wire, r map[string]any) bool {
			if r["janus"] == "attach" {
				w.say(`{"janus":"error","transaction":"%s","error":{"code":460,"reason":"No such plugin"}}`, r["transaction"])
			}
			return r["janus"] == "attach"
		}
		h.start()
		h.request("x", "")
		h.request("y", "")
		h.live(0)
		h.want("x", "No such plugin")
		h.want("y", "No such plugin")
		if n := len(h.line.handles); n != 0 || h.lines[0].closed {
			t.Errorf("%d handles, closed %v", n, h.lines[0].closed)
		}
	})
}

// TestStewardTooLarge answers what NATS does not take with an error, again and again.
func TestStewardTooLarge(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.limit = 200
		h.manner = func(w *wire, r map[string]any) bool {
			if r["janus"] == "message" {
				w.say(`{"janus":"success","transaction":"%s","plugindata":{"data":{"long":"%s"}}}`, r["transaction"], strings.Repeat("x", h.limit))
			}
			return r["janus"] == "message"
		}
		h.start()
		h.request("x", "1")
		h.live(time.Second)
		h.want("x", "too large")
		h.request("y", "1")
		h.live(time.Second)
		h.want("y", "too large")
	})
}

// TestStewardStopsBesideSilence is over in time though Janus has stopped to answer.
func TestStewardStopsBesideSilence(t *testing.T) {
	keepHouse(t, func(t *testing.T, h *household) {
		h.start()
		h.request("before", "1")
		h.live(time.Second)
		h.want("before", "")
		h.manner = func(*wire, map[string]any) bool { return true }
		h.request("under way", "2")
		h.live(time.Second)
	})
}
