// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"math"
	"time"
)

// realm is what tokens for the API are made for; plugins have realms of their own and look at those tokens themselves.
const realm = "janus"

// signer knows tokens that were signed with the key: "<expiry>,<realm>,<plugin>,…:<signature>", where the expiry counts the
// seconds since 1970 and the signature is the HMAC-SHA1 of all before the colon, in base64 (janus_auth_check_signature).
type signer struct {
	key []byte
	now func() int64 // seconds since 1970
}

func unixNow() int64 { return time.Now().Unix() }

func (s signer) valid(token []byte) bool {
	_, ok := s.open(token)
	return ok
}

func (s signer) allows(token []byte, plugin string) bool {
	plugins, ok := s.open(token)
	for ok && len(plugins) > 0 {
		var next []byte
		next, plugins, _ = bytes.Cut(plugins, []byte(","))
		if string(next) == plugin {
			return true
		}
	}
	return false
}

// open gives the plugins of a good token, with commas between them.
func (s signer) open(token []byte) (plugins []byte, ok bool) {
	data, signature, ok := bytes.Cut(token, []byte(":"))
	if !ok {
		return nil, false
	}
	expiry, rest, _ := bytes.Cut(data, []byte(","))
	to, plugins, _ := bytes.Cut(rest, []byte(","))
	if until := leadingInt(expiry); until < 0 || s.now() > until || string(to) != realm {
		return nil, false
	}
	mac := hmac.New(sha1.New, s.key)
	mac.Write(data)
	var sum [sha1.Size]byte
	var want [(sha1.Size + 2) / 3 * 4]byte
	base64.StdEncoding.Encode(want[:], mac.Sum(sum[:0]))
	return plugins, subtle.ConstantTimeCompare(signature, want[:]) == 1
}

// leadingInt reads the number that a text begins with as C's strtoll does: blanks before it and anything after it do not
// matter, no number is 0, and one that is too great is the greatest.
func leadingInt(text []byte) int64 {
	text = bytes.TrimLeft(text, " \t\n\v\f\r")
	negative := len(text) > 0 && text[0] == '-'
	if negative || len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	n := int64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		digit := int64(c - '0')
		if n > (math.MaxInt64-digit)/10 {
			n = math.MaxInt64
			break
		}
		n = 10*n + digit
	}
	if negative {
		return -n
	}
	return n
}
