// SPDX-License-Identifier: Apache-2.0

package janusjson

import "iter"

// Object reads inside one JSON object with jansson's meaning. It holds a span of
// validated bytes and no index: each Get walks over the members, which for the
// bodies of plugin requests is cheaper than any preparation. The zero Object has
// no members.
type Object struct {
	raw []byte // from brace to brace
}

// ParseObject validates raw, one JSON object with nothing but white space around
// it, as Scan would. It returns a *SyntaxError or ErrNotObject. The Object refers
// to raw. A value of a scanned Message needs no second validation: see
// Message.Object.
func ParseObject(raw []byte) (Object, error) {
	start := skipSpace(raw, 0)
	if start < len(raw) && raw[start] == '{' {
		if end := skipContainer(raw, start, 0); end >= 0 && skipSpace(raw, end) == len(raw) {
			return Object{raw[start:end:end]}, nil
		}
	}
	if _, err := judgeText(raw, true); err != nil {
		return Object{}, err
	}
	return Object{}, ErrNotObject
}

// Bytes returns the raw bytes of the object, from brace to brace.
func (o Object) Bytes() []byte { return o.raw }

// Get returns the value of the key that reads name, however it is spelled; the
// last one when there are several. Without any the kind is KindAbsent. It does
// not allocate.
func (o Object) Get(name string) Value {
	var found Value
	for f := o.first(); f.found(); f = o.next(f) {
		if standsFor(o.name(f), name) {
			found = o.value(f)
		}
	}
	return found
}

// All yields the keys, with their escapes understood, and their values. Of
// duplicate keys only the last is yielded. It allocates the keys.
func (o Object) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		last := map[string]int{}
		for f := o.first(); f.found(); f = o.next(f) {
			last[string(appendUnescaped(nil, o.name(f)))] = f.start
		}
		for f := o.first(); f.found(); f = o.next(f) {
			name := string(appendUnescaped(nil, o.name(f)))
			if last[name] == f.start && !yield(name, o.value(f)) {
				return
			}
		}
	}
}

// Field is one change of Object.AppendSplice.
type Field struct {
	Name  string // the key, as text
	Value []byte // raw JSON value in its place, nil to remove the key
}

// AppendSplice appends the object with the fields set or removed. Every spelling
// of a named key is dropped from where it stands, and what is set comes at the
// end; the other members are copied as they are, in order, without the space
// between them. When several fields have the same name the last one counts.
//
// The values must be valid JSON: they are not looked at. dst must not overlap the
// object or the values.
func (o Object) AppendSplice(dst []byte, fields ...Field) []byte {
	dst = append(dst, '{')
	for f := o.first(); f.found(); f = o.next(f) {
		if namedIn(fields, o.name(f)) {
			continue
		}
		dst = appendComma(dst)
		dst = append(dst, o.raw[f.start:f.end]...)
	}
	for i, f := range fields {
		if f.Value == nil || setAgain(fields[i+1:], f.Name) {
			continue
		}
		dst = appendComma(dst)
		dst = AppendQuoted(dst, f.Name)
		dst = append(dst, ':')
		dst = append(dst, f.Value...)
	}
	return append(dst, '}')
}

// appendComma separates a further member from what an open object has so far.
func appendComma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

// namedIn reports whether name, the inside of a key, is that of one of the fields.
func namedIn(fields []Field, name []byte) bool {
	for i := range fields {
		if standsFor(name, fields[i].Name) {
			return true
		}
	}
	return false
}

func setAgain(later []Field, name string) bool {
	for i := range later {
		if later[i].Name == name {
			return true
		}
	}
	return false
}

// field is where a member stands in Object.raw.
type field struct {
	start  int // opening quote of the key, 0 when there is no member
	behind int // behind the closing quote of the key
	value  int
	end    int // behind the value
	kind   Kind
}

func (f field) found() bool { return f.start > 0 }

func (o Object) name(f field) []byte { return o.raw[f.start+1 : f.behind-1] }

func (o Object) value(f field) Value { return Value{f.kind, o.raw[f.value:f.end:f.end]} }

// first returns the first member.
func (o Object) first() field {
	if len(o.raw) == 0 {
		return field{}
	}
	return o.at(skipSpace(o.raw, 1))
}

// next returns the member behind f.
func (o Object) next(f field) field {
	i := skipSpace(o.raw, f.end)
	if o.raw[i] != ',' {
		return field{}
	}
	return o.at(skipSpace(o.raw, i+1))
}

// at reads the member at raw[i], if it is one and not the closing brace.
func (o Object) at(i int) field {
	if o.raw[i] != '"' {
		return field{}
	}
	f := field{start: i, behind: skipString(o.raw, i+1)}
	f.value = skipColon(o.raw, f.behind)
	f.end, f.kind = skipValue(o.raw, f.value, 1)
	return f
}
