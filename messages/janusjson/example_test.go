// SPDX-License-Identifier: Apache-2.0

package janusjson_test

import (
	"fmt"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// A hop gives a request another handle and a transaction that leads back.
func ExampleMessage_AppendSplice() {
	request := []byte(`{"janus":"message","session_id":7,"handle_id":12,"transaction":"abc","body":{"request":"join","room":1234}}`)
	var m janusjson.Message
	if err := janusjson.Scan(request, &m); err != nil {
		panic(err)
	}
	body, _ := m.Object(janusjson.KeyBody)
	room, _ := body.Get("room").Int()
	fmt.Println(m.Verb(), room)
	var handle, transaction [64]byte
	fmt.Printf("%s\n", m.AppendSplice(nil,
		janusjson.Edit{Key: janusjson.KeyHandleID, Value: janusjson.AppendUint(handle[:0], 990)},
		janusjson.Edit{Key: janusjson.KeyTransaction, Value: janusjson.AppendPrefixed(transaction[:0], "e1.7", m.Bytes(janusjson.KeyTransaction))}))
	// Output:
	// message 1234
	// {"janus":"message","session_id":7,"handle_id":990,"transaction":"e1.7|abc","body":{"request":"join","room":1234}}
}

// A message that would name two sessions names the one that Janus would read.
func ExampleDecode() {
	texts, err := janusjson.Decode([]byte(`{"session_id":1,"session\u005fid":2} {"a":`), janusjson.Quirks{})
	fmt.Println(texts, err)
	texts, _ = janusjson.Decode([]byte(`{"session_id":1,"session\u005fid":2} []`), janusjson.Quirks{})
	fmt.Printf("%s\n", texts)
	// Output:
	// [] <string>(1,5): unexpected token near end of file
	// [{"session_id":2} {}]
}
