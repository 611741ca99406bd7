package janusjson

// Object reads inside one JSON object with jansson's meaning. It holds a span of
// validated bytes and no index: each Get walks over the members, which for the
// bodies of plugin requests is cheaper than any preparation. The zero Object has
// no members.
type Object struct {
	raw []byte // from brace to brace
}

// ParseObject validates raw, one JSON object with nothing but white space around
// it, as Scan would. It returns a *SyntaxError or ErrNotObject. A value of a
// scanned Message needs no second validation: see Message.Object.
func ParseObject(raw []byte) (Object, error) {
	start := skipSpace(raw, 0)
	if start < len(raw) && raw[start] == '{' {
		if end := skipContainer(raw, start, 0); end >= 0 && skipSpace(raw, end) == len(raw) {
			return Object{raw[start:end]}, nil
		}
	}
	if _, err := judgeText(raw, true); err != nil {
		return Object{}, err
	}
	return Object{}, ErrNotObject
}

// Bytes returns the raw bytes of the object.
func (o Object) Bytes() []byte { return o.raw }

// Get returns the value of the key that reads name, however it is spelled; the
// last one when there are several. Without any the kind is KindAbsent.
func (o Object) Get(name string) Value {
	var found Value
	for i := o.first(); i >= 0; {
		behind := skipString(o.raw, i+1)
		value := skipColon(o.raw, behind)
		end, kind := skipValue(o.raw, value, 1)
		if standsFor(o.raw[i+1:behind-1], name) {
			found = Value{kind, o.raw[value:end:end]}
		}
		i = o.next(end)
	}
	return found
}

// first returns where the first member begins, -1 when there is none.
func (o Object) first() int {
	if len(o.raw) == 0 {
		return -1
	}
	if i := skipSpace(o.raw, 1); o.raw[i] == '"' {
		return i
	}
	return -1
}

// next returns where the member behind the value that ends at end begins, -1 when
// there is none.
func (o Object) next(end int) int {
	if i := skipSpace(o.raw, end); o.raw[i] == ',' {
		return skipSpace(o.raw, i+1)
	}
	return -1
}
