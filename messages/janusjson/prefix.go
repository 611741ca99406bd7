// SPDX-License-Identifier: Apache-2.0

package janusjson

import "bytes"

// prefixEnd stands between the prefix of a transaction and the client's own.
const prefixEnd = '|'

// AppendPrefixed appends the JSON string that reads prefix, a bar, and the content
// of rawString, a valid JSON string with its quotes, whose escapes stay as they
// are. The prefix has no bar, quote, backslash or control character.
func AppendPrefixed(dst []byte, prefix string, rawString []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, prefix...)
	dst = append(dst, prefixEnd)
	return append(dst, rawString[1:]...)
}

// AppendCut undoes AppendPrefixed: it appends what stands behind the first bar of
// rawString, again as a JSON string, and returns the prefix, a part of rawString.
// ok is false when there is no bar; nothing is appended then.
func AppendCut(dst, rawString []byte) (out, prefix []byte, ok bool) {
	i := bytes.IndexByte(rawString, prefixEnd)
	if i < 1 {
		return dst, nil, false
	}
	dst = append(dst, '"')
	return append(dst, rawString[i+1:]...), rawString[1:i], true
}

// CutPrefix is AppendCut into fresh bytes.
func CutPrefix(rawString []byte) (prefix, rest []byte, ok bool) {
	rest, prefix, ok = AppendCut(nil, rawString)
	return prefix, rest, ok
}
