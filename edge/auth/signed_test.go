// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"testing"
)

// sign makes a token of its data.
func sign(key, data string) string {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(data))
	return data + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// fixed is a signer in whose time it is second 1000.
func fixed() signer { return signer{key: []byte("key"), now: func() int64 { return 1000 }} }

func TestSigned(t *testing.T) {
	good := sign("key", "1000,janus,janus.plugin.echotest,janus.plugin.videoroom")
	for name, x := range map[string]struct {
		token        string
		valid, allow bool
	}{
		"good":               {good, true, true},
		"second plugin":      {sign("key", "1001,janus,x,janus.plugin.echotest"), true, true},
		"no plugin":          {sign("key", "1000,janus"), true, false},
		"empty plugin":       {sign("key", "1000,janus,"), true, false},
		"another plugin":     {sign("key", "1000,janus,janus.plugin.echo"), true, false},
		"plugin and more":    {sign("key", "1000,janus,janus.plugin.echotest2"), true, false},
		"expired":            {sign("key", "999,janus,janus.plugin.echotest"), false, false},
		"expired long ago":   {sign("key", "-5,janus,janus.plugin.echotest"), false, false},
		"expiry no number":   {sign("key", "x,janus"), false, false},
		"expiry with more":   {sign("key", "1000x,janus"), true, false},
		"expiry with blanks": {sign("key", " \t+1000,janus"), true, false},
		"expiry too great":   {sign("key", "99999999999999999999999,janus"), true, false},
		"expiry fraction":    {sign("key", "1000.5,janus"), true, false},
		"expiry empty":       {sign("key", ",janus"), false, false},
		"wrong realm":        {sign("key", "1000,janus.plugin.videoroom,janus.plugin.echotest"), false, false},
		"realm in capitals":  {sign("key", "1000,Janus"), false, false},
		"realm with blank":   {sign("key", "1000, janus"), false, false},
		"no realm":           {sign("key", "1000"), false, false},
		"wrong key":          {sign("Key", "1000,janus,janus.plugin.echotest"), false, false},
		"changed":            {strings.Replace(good, "1000", "2000", 1), false, false},
		"signature cut":      {good[:len(good)-1], false, false},
		"signature longer":   {good + "=", false, false},
		"second colon":       {good + ":", false, false},
		"colon in data":      {sign("key", "1000,janus,a:b"), false, false},
		"no signature":       {"1000,janus:", false, false},
		"no colon":           {"1000,janus", false, false},
		"only a colon":       {":", false, false},
		"empty data":         {sign("key", ""), false, false},
		"nothing":            {"", false, false},
	} {
		s := fixed()
		expect(t, name+": valid", s.valid([]byte(x.token)), x.valid)
		expect(t, name+": allows", s.allows([]byte(x.token), "janus.plugin.echotest"), x.allow)
	}
}

func TestLeadingInt(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "5": 5, "-5": -5, "+5": 5, "+-5": 0, "--5": 0, " \n5 ": 5, "- 5": 0, "0x10": 0, "010": 10, "1e3": 1,
		"9223372036854775807": math.MaxInt64, "9223372036854775808": math.MaxInt64, "92233720368547758070": math.MaxInt64,
		"-9223372036854775807": -math.MaxInt64, "-99999999999999999999": -math.MaxInt64,
	} {
		expect(t, fmt.Sprintf("%q", text), leadingInt([]byte(text)), want)
	}
}

// plainly is janus_auth_check_signature_contains of src/auth.c, step by step; plugin "" is janus_auth_check_signature.
func plainly(token, plugin string) bool {
	parts := strings.SplitN(token, ":", 2)
	if len(parts) != 2 || parts[0] == "" {
		return false
	}
	data := strings.Split(parts[0], ",")
	if len(data) < 2 || leadingInt([]byte(data[0])) < 1000 || data[1] != "janus" {
		return false
	}
	found := plugin == ""
	for _, d := range data[2:] {
		found = found || d == plugin
	}
	return found && token == sign("key", parts[0])
}

func FuzzSigned(f *testing.F) {
	for _, data := range []string{"", "1000,janus", "1000,janus,a,b", "1000,janus,,", "x,janus", "-1,janus", ",", "1000,janus:x"} {
		f.Add(data, "a", true)
		f.Add(data, "", false)
	}
	f.Fuzz(func(t *testing.T, token, plugin string, signed bool) {
		if signed {
			token = sign("key", token)
		}
		s := fixed()
		if got, want := s.valid([]byte(token)), plainly(token, ""); got != want {
			t.Errorf("%q: valid %v, want %v", token, got, want)
		}
		if plugin == "" {
			return
		}
		if got, want := s.allows([]byte(token), plugin), plainly(token, plugin); got != want {
			t.Errorf("%q, %q: allows %v, want %v", token, plugin, got, want)
		}
	})
}
