// SPDX-License-Identifier: Apache-2.0

package messages

import "testing"

func TestSessionSubjects(t *testing.T) {
	for text, want := range map[string]SessionSubject{
		"janus.session.5.1029":                          {5, 1029, SessionRequest, ""},
		"janus.session.5.1029.reply.77":                 {5, 1029, SessionReply, "77"},
		"janus.session.5.1029.event.0":                  {5, 1029, SessionEvent, "0"},
		"janus.session.5.1029.own.77.3":                 {5, 1029, SessionOwn, "77.3"},
		"janus.session.0.18446744073709551615.stored.1": {0, 1<<64 - 1, SessionStored, "1"},
	} {
		got, err := ParseSessionSubject(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v (%v), written %s", text, got, err, got)
		}
	}
	for _, bad := range []string{
		"", "janus.session", "janus.session.5", "janus.session.1024.1", "janus.session.x.1", "janus.session.5.x",
		"janus.session.5.1.", "janus.session.5.1.reply", "janus.media.5.1",
	} {
		if got, err := ParseSessionSubject(bad); err == nil {
			t.Errorf("%q was taken as %+v", bad, got)
		}
	}
	if got := HandleSubject(1029, SessionReply, 77); got != "janus.session.5.1029.reply.77" {
		t.Errorf("HandleSubject: %s", got)
	}
}

func TestMediaSubjects(t *testing.T) {
	s := MediaSubject{Member{"janus-a", "i1"}, 5, Epoch{99, "node-1"}, 1029, 77}
	const text = "janus.media.janus-a~i1.5.99-node-1.1029.77"
	if s.String() != text {
		t.Errorf("written %s, want %s", s, text)
	}
	if got, err := ParseMediaSubject(text); err != nil || got != s {
		t.Errorf("read %+v (%v)", got, err)
	}
	for _, bad := range []string{"", "janus.media.a~1.5.9-n.1", "janus.media.a.5.9-n.1.2", "janus.media.a~1.5.9.1.2", text + ".1", "janus.media.a~1.1024.9-n.1.2"} {
		if got, err := ParseMediaSubject(bad); err == nil {
			t.Errorf("%q was taken as %+v", bad, got)
		}
	}
}

// An identity and its repeats are one; the connection can be read from any of them.
func TestIdentities(t *testing.T) {
	i := Identity{Edge: Member{"e", "i1"}, Connection: 7, Session: 1029, N: 3}
	first := i.String()
	i.Repeat = true
	if cut, repeat := CutRepeat(i.String()); cut != first || !repeat {
		t.Errorf("%s cut to %s, %v", i, cut, repeat)
	}
	if _, repeat := CutRepeat(first); repeat {
		t.Errorf("%s is no repeat", first)
	}
	want := Transport{Edge: Member{"e", "i1"}, Connection: 7}
	for _, text := range []string{first, i.String(), want.String(), want.EventSubject()} {
		if got, err := ParseTransport(text); err != nil || got != want {
			t.Errorf("%s: transport %v (%v)", text, got, err)
		}
	}
	for text, want := range map[string]EdgeSubject{
		first:               {Connection: 7, Session: 1029, N: 3},
		i.String():          {Connection: 7, Session: 1029, N: 3},
		want.EventSubject(): {Connection: 7, Event: true},
	} {
		if got, err := ParseEdgeSubject(text); err != nil || got != want {
			t.Errorf("%s: %+v (%v)", text, got, err)
		}
	}
}

// A connection that polls is told from one that listens by its identities alone.
func TestPollingIdentities(t *testing.T) {
	i := Identity{Edge: Member{"e", "i1"}, Connection: 7, Polling: true, Session: 1029, N: 1}
	if got := i.String(); got != "janus.edge.e~i1.h7.1029.1" {
		t.Errorf("written %s", got)
	}
	if got, err := ParseTransport(i.String()); err != nil || !got.Polling || got.Connection != 7 {
		t.Errorf("transport %+v (%v)", got, err)
	}
	if got, err := ParseEdgeSubject(i.String()); err != nil || got != (EdgeSubject{Connection: 7, Polling: true, Session: 1029, N: 1}) {
		t.Errorf("subject %+v (%v)", got, err)
	}
}

func TestDeliveries(t *testing.T) {
	d := Delivery{Partition: 5, Session: 1029, Epoch: Epoch{99, "node-1"}, Seq: 4}
	if got, err := ParseDelivery(d.String()); err != nil || got != d {
		t.Errorf("%s read as %+v (%v)", d, got, err)
	}
	d.Behind, d.Origin = 3, "janus-a~i1.77"
	if got, err := ParseDelivery(d.String()); err != nil || got != d {
		t.Errorf("%s read as %+v (%v)", d, got, err)
	}
	for _, bad := range []string{"", "5.1029.99-n", "5.1029.99.4", "1024.1.9-n.1", "a.b.c.d", "5.1029.99-n.4-4", "5.1029.99-n.4-"} {
		if got, err := ParseDelivery(bad); err == nil {
			t.Errorf("%q was taken as %+v", bad, got)
		}
	}
}

// Whatever arrives as a subject, parsing does not panic, and what is taken is written back as it was, but for leading
// zeros and signs, which no one writes.
func FuzzSubjects(f *testing.F) {
	f.Add("janus.session.5.1029.reply.77")
	f.Add("janus.media.janus-a~i1.5.99-node-1.1029.77")
	f.Add("janus.edge.e~i1.7.1029.3.r")
	f.Add("5.1029.99-n.4")
	f.Add("5.1029.99-n.4-2.janus-a~i1.77")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSessionSubject(text); err == nil {
			if again, err := ParseSessionSubject(s.String()); err != nil || again != s {
				t.Errorf("%q: %+v, then %+v (%v)", text, s, again, err)
			}
		}
		if s, err := ParseMediaSubject(text); err == nil {
			if again, err := ParseMediaSubject(s.String()); err != nil || again != s {
				t.Errorf("%q: %+v, then %+v (%v)", text, s, again, err)
			}
		}
		if d, err := ParseDelivery(text); err == nil {
			if again, err := ParseDelivery(d.String()); err != nil || again != d {
				t.Errorf("%q: %+v, then %+v (%v)", text, d, again, err)
			}
		}
		_, _ = ParseEdgeSubject(text)
		_, _ = ParseTransport(text)
		_, _ = ParseSuspicion(text)
	})
}

func BenchmarkParseSessionSubject(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseSessionSubject("janus.session.517.4503599627370517.reply.4503599627370496"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMediaSubject(b *testing.B) {
	s := MediaSubject{Member{"janus-a", "mwpswnkmd2as"}, 517, Epoch{1795228852808, "node-a"}, 4503599627370517, 4503599627370496}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMediaSubject(s.String()); err != nil {
			b.Fatal(err)
		}
	}
}

// The number of a request is that of one connection: others do not count for it.
func TestTransportNumber(t *testing.T) {
	edge := Member{Name: "e", Inc: "i"}
	of := Transport{Edge: edge, Connection: 7}
	id := Identity{Edge: edge, Connection: 7, Session: 12, N: 34}
	other := id
	other.Connection = 70
	longer := id
	longer.Edge.Inc = "ii"
	again := id
	again.Repeat = true
	polling := id
	polling.Polling = true
	for _, c := range []struct {
		of       Transport
		identity string
		n        uint64
		ok       bool
	}{
		{of, id.String(), 34, true}, {of, again.String(), 34, true},
		{of, other.String(), 0, false}, {of, longer.String(), 0, false}, {of, polling.String(), 0, false},
		{of, "janus.session.1.12.own.3.4", 0, false}, {of, of.String(), 0, false}, {of, "", 0, false},
		{Transport{}, id.String(), 0, false}, {Transport{Edge: edge, Connection: 7, Polling: true}, id.String(), 0, false},
	} {
		if n, ok := c.of.Number(c.identity); n != c.n || ok != c.ok {
			t.Errorf("%q of %v: %d, %v", c.identity, c.of, n, ok)
		}
	}
}
