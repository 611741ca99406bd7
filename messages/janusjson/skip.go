// SPDX-License-Identifier: Apache-2.0

package janusjson

// maxDepth is jansson's JSON_PARSER_MAX_DEPTH: the outermost value is at depth 1,
// and no value, scalar or not, may be deeper than this.
const maxDepth = 2048

// nesting says of each open container whether it is an object: one bit per
// level, so that depth costs neither stack nor heap.
type nesting [maxDepth/64 + 1]uint64

func (n *nesting) push(depth int, object bool) {
	bit := uint64(1) << (depth % 64)
	if object {
		n[depth/64] |= bit
	} else {
		n[depth/64] &^= bit
	}
}

func (n *nesting) object(depth int) bool {
	return n[depth/64]>>(depth%64)&1 != 0
}

// closer is the bracket that ends the container at depth.
func (n *nesting) closer(depth int) byte {
	if n.object(depth) {
		return '}'
	}
	return ']'
}

// The skip functions below walk over what jansson accepts. They return the index
// behind it, or -1 for anything else, without saying why: the judge does that.

// skipSpace returns the index of the first byte from b[i] on that is not JSON
// white space, len(b) when there is none.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipColon walks over a colon and the space on both sides.
func skipColon(b []byte, i int) int {
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return skipSpace(b, i+1)
}

// skipName walks over a key, its colon and the space up to the value.
func skipName(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = skipString(b, i+1); i < 0 {
		return -1
	}
	return skipColon(b, i)
}

// skipValue walks over the value at b[i], which stands in a container of the
// given depth, and tells its kind.
func skipValue(b []byte, i, depth int) (end int, kind Kind) {
	if i >= len(b) || depth >= maxDepth {
		return -1, KindAbsent
	}
	switch c := b[i]; c {
	case '"':
		return skipString(b, i+1), KindString
	case '{':
		return skipContainer(b, i, depth), KindObject
	case '[':
		return skipContainer(b, i, depth), KindArray
	case 't':
		return skipWord(b, i, "true"), KindTrue
	case 'f':
		return skipWord(b, i, "false"), KindFalse
	case 'n':
		return skipWord(b, i, "null"), KindNull
	default:
		return skipNumber(b, i)
	}
}

// skipWord walks over a literal. That no letter follows is seen by the caller,
// who expects a comma, a bracket or space.
func skipWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// skipContainer walks over the object or array that opens at b[i] inside a
// container of the given depth (0 for the outermost).
func skipContainer(b []byte, i, depth int) int {
	var nest nesting
	outer := depth
	for i >= 0 && i < len(b) {
		c := b[i]
		if c == '{' || c == '[' {
			if depth++; depth > maxDepth {
				return -1
			}
			nest.push(depth, c == '{')
			i = skipSpace(b, i+1)
			if i >= len(b) {
				return -1
			}
			if b[i] != nest.closer(depth) {
				if c == '{' {
					i = skipName(b, i)
				}
				continue
			}
		} else {
			if i, _ = skipValue(b, i, depth); i < 0 {
				return -1
			}
			i = skipSpace(b, i)
		}
		if i, depth = climb(b, i, &nest, depth, outer); depth == outer {
			return i
		}
	}
	return -1
}

// climb goes on behind a value: it closes containers until one has a further
// value, whose first byte it returns, or until depth is outer again. A broken
// text yields -1.
func climb(b []byte, i int, nest *nesting, depth, outer int) (int, int) {
	for i < len(b) {
		c := b[i]
		if c == ',' {
			i = skipSpace(b, i+1)
			if nest.object(depth) {
				i = skipName(b, i)
			}
			return i, depth
		}
		if c != nest.closer(depth) {
			break
		}
		i++
		if depth--; depth == outer {
			return i, depth
		}
		i = skipSpace(b, i)
	}
	return -1, outer
}
