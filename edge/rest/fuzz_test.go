// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// FuzzHTTPPath holds numbers in paths to arithmetic without bounds, and finds nothing in a path that does not stand in it.
func FuzzHTTPPath(f *testing.F) {
	for _, s := range []string{
		"/janus", "/janus/12/34?maxev=3", "/janus/-1", "/janus//5", "/janus/18446744073709551616/x/y", "/x/janus/%31%00", "*", "/JANUS", "/janus/janus",
	} {
		f.Add(s)
	}
	integer := regexp.MustCompile(`^[ \t\n\v\f\r]*([-+]?)0*([0-9]+)`)
	f.Fuzz(func(t *testing.T, target string) {
		got, ok := Base("/janus").Parse(target)
		if !ok && got != (Target{}) || got.Session == "" && got.Handle != "" || got.Handle == "" && got.More {
			t.Fatalf("%+v", got)
		}
		if strings.ContainsAny(got.Session+got.Handle, "/\x00") || strings.Contains(got.Session+got.Handle, "/janus") {
			t.Errorf("%+v", got)
		}
		want := new(big.Int)
		if m := integer.FindStringSubmatch(got.Session); m != nil {
			want.SetString(m[2], 10)
			if most := new(big.Int).SetUint64(1<<64 - 1); want.Cmp(most) > 0 {
				want = most
			} else if m[1] == "-" {
				want.Neg(want).And(want, most)
			}
		}
		if got.SessionID() != want.Uint64() {
			t.Errorf("%q is %d, want %d", got.Session, got.SessionID(), want)
		}
		if n := QueryOf(target).MaxEvents(); n < 1 {
			t.Errorf("%d events", n)
		}
	})
}

// FuzzHTTPBody holds whatever a body and a path make to what is promised: plain form, and ids that do not contradict either.
func FuzzHTTPBody(f *testing.F) {
	for _, body := range []string{
		`{"janus":"ping","transaction":"t"}`, `{"session_id":5,"session\u005fid":6}`, `{"session_id":"5"} `, "{}\x00", "[1]", "{", "{\"\xc3\":1}", `{"handle_id":-1}`, `{"handle_id":1.0}`,
	} {
		f.Add([]byte(body), "5", "7")
		f.Add([]byte(body), "", "")
	}
	f.Fuzz(func(t *testing.T, body []byte, session, handle string) {
		before := string(body)
		target := Target{Session: session, Handle: handle}
		var m janusjson.Message
		err := Request(body, target, &m)
		if string(body) != before {
			t.Fatal("body was changed")
		}
		if err != nil {
			if err.Code == 0 {
				t.Errorf("error without a code: %v", err)
			}
			return
		}
		var again janusjson.Message
		if err := janusjson.Scan(m.Raw(), &again); err != nil {
			t.Fatalf("%q: %v", m.Raw(), err)
		}
		for key, want := range map[janusjson.Key]uint64{janusjson.KeySessionID: target.SessionID(), janusjson.KeyHandleID: target.HandleID()} {
			if got, _ := again.Uint(key); want != 0 && got != want {
				t.Errorf("%q: %s is not %d", m.Raw(), key, want)
			}
		}
	})
}
