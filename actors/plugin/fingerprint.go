// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"encoding/json"
	"hash/fnv"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// fingerprint is equal for objects that are equal in the named fields, whatever space is in them; the fields of nested name lists
// are those of the objects in an array.
func fingerprint(o janusjson.Object, names []string, list string, nested []string) uint64 {
	h := fnv.New64a()
	var scratch bytes.Buffer
	add := func(name string, v janusjson.Value) {
		if v.Kind() == janusjson.KindAbsent {
			return
		}
		scratch.Reset()
		scratch.WriteString(name)
		scratch.WriteByte(0)
		_ = json.Compact(&scratch, v.Bytes()) // it was scanned
		scratch.WriteByte(0)
		_, _ = h.Write(scratch.Bytes()) // never fails (hash.Hash)
	}
	for _, name := range names {
		add(name, o.Get(name))
	}
	array, _ := o.Get(list).Array()
	for v := range array.All() {
		_, _ = h.Write([]byte{1})
		in, _ := v.Object()
		for _, name := range nested {
			add(name, in.Get(name))
		}
	}
	return h.Sum64()
}
