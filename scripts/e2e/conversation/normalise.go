// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Streams are the messages of a transcript as two servers' can be compared: by stream, each a line of JSON without what
// differs from one run with the same Janus to the next. A stream is what keeps its order in every run:
//
//   - "a session $s": the direct replies on a connection that name a session; "a" those that do not. Janus serves all requests
//     but message from one thread, in order of arrival. A cluster has an owner for each session, and keeps the order of each.
//   - "a message $h": the direct replies to message requests for one handle. A pool of threads serves those, so their acks
//     may change places with other replies, even with the event that they announce.
//   - "a events $h": what a handle had to say by itself; of the session where there is no handle. Plugin and core say it from
//     threads of their own, so there is no order between handles, nor with replies.
//   - "a hangups $h", "a ends of calls: … $h": what ends a PeerConnection or a call, which several threads say at once.
//   - "h": the answers over HTTP, each with its status and headers, in order of the requests.
//
// What is made equal, besides the order of keys and blanks between tokens:
//
//   - ids that the script has a name for are written as that name, in texts of errors as well; long numbers that it never
//     said, such as ids drawn for an attach without a transaction, by the order in which they appear;
//   - in SDP: the numbers of the session's version, ICE credentials, fingerprint, ports and foundations of candidates, SSRCs
//     and their names. The number and kind of its lines is compared;
//   - the transactions that Janus draws where a GET is a request of the Janus API;
//   - the order of lists that Janus gives from a hash table;
//   - clocks, ports that were free, and what a plugin draws by chance.
//
// What is left out, because one Janus says it or not from one run to the next: the echo's and the player's "done" and the hangup
// for "Detach" of a handle that is detached, which race with its end; what a handle says when its session times out; that
// the call of a handle that is detached has ended.
type Streams map[string][]string

// Streams sorts a transcript into streams. What the differences except is left out, and counted in them.
func (t *Transcript) Streams(conversation string, except *Differences) (Streams, error) {
	n := &normaliser{t: t, numbers: make(map[string]string)}
	streams := make(Streams)
	bodies := make([]map[string]any, len(t.Messages))
	for i, m := range t.Messages {
		if m.Head != "" {
			continue
		}
		if err := decode(m.Raw, &bodies[i]); err != nil {
			return nil, fmt.Errorf("conversation: %s: %w", conversation, err)
		}
	}
	over := ends(bodies)
	for i, m := range t.Messages {
		body := bodies[i]
		if m.Head != "" {
			streams[m.Connection] = append(streams[m.Connection], n.answer(m, conversation, except))
			continue
		}
		if over.raced(body) || except.drop(conversation, body) {
			continue
		}
		stream := n.stream(m, body)
		streams[stream] = append(streams[stream], string(mustMarshal(n.value("", body))))
	}
	if len(t.Remarks) > 0 {
		streams["remarks"] = t.Remarks
	}
	return streams, nil
}

// normaliser writes the messages of one transcript.
type normaliser struct {
	t       *Transcript
	numbers map[string]string // long numbers without a name
}

func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

// answer writes an answer over HTTP.
func (n *normaliser) answer(m Message, conversation string, except *Differences) string {
	head := longNumber.ReplaceAllStringFunc(m.Head, n.id)
	if len(m.Raw) == 0 {
		return head
	}
	var body any
	if decode(m.Raw, &body) != nil {
		return head + " " + string(m.Raw)
	}
	if object, ok := body.(map[string]any); ok {
		if except.drop(conversation, object) {
			return head + " …"
		}
		if transaction, _ := object["transaction"].(string); transaction != "" && !strings.Contains(n.t.sent, transaction) {
			object["transaction"] = "#"
		}
	}
	return head + " " + string(mustMarshal(n.value("", body)))
}

// stream tells where a message belongs.
func (n *normaliser) stream(m Message, body map[string]any) string {
	kind, _ := body["janus"].(string)
	session, _ := body["session_id"].(json.Number)
	switch {
	case m.Handle != "":
		return m.Connection + " message " + n.id(m.Handle)
	case replyKind(kind):
		if session == "" {
			return m.Connection
		}
		return m.Connection + " session " + n.id(session.String())
	}
	of, _ := body["sender"].(json.Number)
	if of == "" {
		of = session
	}
	if end := endOfCall(body); end != "" {
		return m.Connection + " " + end + " " + n.id(of.String())
	}
	return m.Connection + " events " + n.id(of.String())
}

// value writes a JSON value that stands under key.
func (n *normaliser) value(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			v[k] = n.value(k, member)
		}
	case []any:
		for i, element := range v {
			v[i] = n.value(key, element)
		}
		if hashed(key) {
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	case json.Number:
		if drawn(key) {
			return "#"
		}
		if id := n.id(v.String()); id != v.String() {
			return id
		}
	case string:
		switch {
		case key == "sdp":
			return longNumber.ReplaceAllStringFunc(equalSDP(v), n.id)
		case key == "transaction":
			return v
		case drawn(key):
			return "#"
		}
		return longNumber.ReplaceAllStringFunc(v, n.id)
	}
	return v
}

// over are the sessions that timed out and the handles that were detached.
type over map[json.Number]bool

func ends(bodies []map[string]any) over {
	o := make(over)
	for _, body := range bodies {
		switch body["janus"] {
		case "timeout":
			o.add(body["session_id"])
		case "detached":
			o.add(body["sender"])
		}
	}
	return o
}

func (o over) add(id any) {
	if n, ok := id.(json.Number); ok {
		o[n] = true
	}
}

// raced tells what a Janus may say or not, depending on which of its threads is quicker.
func (o over) raced(body map[string]any) bool {
	sender, _ := body["sender"].(json.Number)
	session, _ := body["session_id"].(json.Number)
	switch body["janus"] {
	case "detached":
		return o[session]
	case "hangup":
		return body["reason"] == "Detach" || o[session]
	case "event":
		if o[sender] && endOfCall(body) != "" {
			return true
		}
		data, _ := body["plugindata"].(map[string]any)
		data, _ = data["data"].(map[string]any)
		return (o[sender] || o[session]) && body["transaction"] == nil && data["result"] == "done"
	}
	return false
}

// longNumber is one that no code, size or counter of a conversation reaches, but nearly every random id, or a random id that is a
// text.
var longNumber = regexp.MustCompile(`\b([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9]{9,})\b`)

// id writes a number: by its name when it is an id, as it is when it is none.
func (n *normaliser) id(number string) string {
	if !longNumber.MatchString(number) || n.t.said[number] || strings.HasPrefix(number, "-") {
		return number
	}
	if name, known := n.t.names[number]; known {
		return name
	}
	if _, known := n.numbers[number]; !known {
		n.numbers[number] = fmt.Sprintf("#%d", len(n.numbers)+1)
	}
	return n.numbers[number]
}

// hashed tells the keys of lists that Janus gives in the order of a hash table.
func hashed(key string) bool {
	switch key {
	case "plugins", "allowed_plugins", "list", "participants", "publishers", "attendees", "allowed", "rtp_forwarders":
		return true
	}
	return false
}

// drawn tells the keys whose values are a time, or drawn by chance.
func drawn(key string) bool {
	switch key {
	case "age_ms", "port", "unique_id", "private_id", "stream_id", "ssrc", "date":
		return true
	}
	return strings.HasSuffix(key, "_port")
}

// volatile are the parts of an SDP that differ with every call.
var volatile = [...]struct { //house:table nobody writes it
	line *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^o=(\S+) \d+ \d+ `), "o=$1 # # "},
	{regexp.MustCompile(`(?m)^a=(ice-ufrag|ice-pwd|fingerprint):.*$`), "a=$1:#"},
	{regexp.MustCompile(`(?m)^a=candidate:\S+ (\d+) (\S+) \d+ (\S+) \d+ `), "a=candidate:# $1 $2 # $3 # "},
	{regexp.MustCompile(`(?m) rport \d+`), " rport #"},
	{regexp.MustCompile(`(?m)^a=msid:(\S+) .*$`), "a=msid:$1 #"},
	{regexp.MustCompile(`(?m)^a=(ssrc|ssrc-group:\S+)[: ]\d+.*?( cname:| msid:| mslabel:| label:|$).*$`), "a=$1:#$2"},
}

// equalSDP writes an SDP without what differs with every call.
func equalSDP(sdp string) string {
	sdp = strings.ReplaceAll(sdp, "\r\n", "\n")
	for _, v := range volatile {
		sdp = v.line.ReplaceAllString(sdp, v.with)
	}
	return sdp
}
