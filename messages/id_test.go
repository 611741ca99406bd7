// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/json"
	"testing"
	"time"
)

func TestNewSessionID(t *testing.T) {
	for p := range Partitions {
		for range 10 {
			id := NewSessionID(p)
			if id == 0 || id > MaxID || PartitionOf(id) != p {
				t.Fatalf("partition %d: drew %d of partition %d", p, id, PartitionOf(id))
			}
		}
	}
}

// A repeat of an attach gives the same handle; another attach, or the same one in another session, another.
func TestHandleID(t *testing.T) {
	a := HandleID(1, "janus.edge.e~1.1.1.1")
	if a == 0 || a > MaxID || a != HandleID(1, "janus.edge.e~1.1.1.1") {
		t.Fatalf("handle id %d is not stable or out of range", a)
	}
	if a == HandleID(2, "janus.edge.e~1.1.1.1") || a == HandleID(1, "janus.edge.e~1.1.1.2") {
		t.Error("different attaches share a handle id")
	}
}

func TestIncarnationsAreOrdered(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	last := NewIncarnation(at)
	for range 1000 {
		at = at.Add(37 * time.Minute)
		next := NewIncarnation(at)
		if next <= last {
			t.Fatalf("%q, drawn later, is not greater than %q", next, last)
		}
		last = next
	}
}

func TestEpochOrder(t *testing.T) {
	now := time.UnixMilli(1000)
	e := Epoch{Number: 2000, Node: "a"}
	for _, test := range []struct {
		got, want Epoch
	}{
		{Epoch{}.Next("n", now), Epoch{1000, "n"}},
		{e.Next("n", now), Epoch{2001, "n"}},
	} {
		if test.got != test.want {
			t.Errorf("next epoch is %v, want %v", test.got, test.want)
		}
	}
	if !e.Less(Epoch{2000, "b"}) || e.Less(e) || !(Epoch{}).Less(e) || (Epoch{2001, "a"}).Less(e) {
		t.Error("epochs are not ordered by number, then by node")
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"edge-1": true, "A_b": true, "": false, "a.b": false, "a b": false, "a*": false, "a>": false, "a~b": false, "é": false,
		string(make([]byte, 65)): false,
	} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) = %v", name, !want)
		}
	}
}

func TestPartitionSet(t *testing.T) {
	for text, count := range map[string]int{"": 0, "0": 1, "0-1023": 1024, "3,5-7,1023": 5, "63-64": 2} {
		s, err := ParsePartitions(text)
		if err != nil || s.Len() != count || s.String() != text {
			t.Errorf("%q: %d partitions, written %q, error %v", text, s.Len(), s.String(), err)
		}
		n := 0
		for p := range s.All() {
			if !s.Has(p) {
				t.Errorf("%q: yields %d, which it has not", text, p)
			}
			n++
		}
		if n != count {
			t.Errorf("%q: yields %d", text, n)
		}
	}
	for _, bad := range []string{"1024", "5-3", "x", "1,", "-1", "1-", "1--2"} {
		if _, err := ParsePartitions(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if AllPartitions().Len() != Partitions {
		t.Error("AllPartitions is not all")
	}
}

func FuzzParsePartitions(f *testing.F) {
	f.Add("3,5-7,1023")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParsePartitions(text)
		if err != nil {
			return
		}
		if again, err := ParsePartitions(s.String()); err != nil || again != s {
			t.Errorf("%q: %q reads as another set (%v)", text, s.String(), err)
		}
	})
}

// What is written in JSON must come back: heartbeats, asks and records carry these types as texts.
func TestTextForms(t *testing.T) {
	var set PartitionSet
	set.Add(7)
	in := Ask{Node: Member{"n", "i1"}, Epoch: Epoch{5, "n"}, Partitions: set}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"node":"n~i1","epoch":"5-n","partitions":"7"}`; string(data) != want {
		t.Errorf("written as %s, want %s", data, want)
	}
	var out Ask
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("read as %+v (%v), want %+v", out, err, in)
	}
	var zero HandleRecord
	if err := json.Unmarshal([]byte(`{"epoch":"","identity":"x","plugin":"p","request":{}}`), &zero); err != nil || !zero.Server.IsZero() || !zero.Epoch.IsZero() {
		t.Errorf("zero values: %+v (%v)", zero, err)
	}
}
