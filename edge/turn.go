// SPDX-License-Identifier: Apache-2.0

package edge

import "github.com/januscloud/januscloud/messages/janusjson"

// maxTurns bounds the answers of a connection that wait for their turn; what comes then is written at once.
const maxTurns = 256

// turns keep the answers that the edge gives itself in the order of the requests: Janus serves all requests of a connection
// but messages from one thread. They belong to a connection, which has them while such requests are in flight; its mu guards them.
type turns struct {
	last    uint64 // the turn of the last request that has one
	waiting int32  // requests with a turn that are not answered yet
	texts   []turn // answers that wait
}

// turn is an answer that waits for those of requests before it.
type turn struct {
	text   []byte
	behind uint64 // the turn of the last of those
	left   int32  // how many of them are not answered yet
}

// takeTurn gives a request its turn, unless it has that of the one that it stands for. Called with mu held.
func (c *connection) takeTurn(r *request) {
	if r.turn != 0 || c.polling || r.isPoll() || r.verb == janusjson.VerbMessage {
		return
	}
	if c.turns == nil {
		c.turns = new(turns)
	}
	c.turns.last++
	c.turns.waiting++
	r.turn = c.turns.last
}

// wait keeps a text, which is the connection's from then on, until all requests before it are answered. It reports false
// when there are none.
func (c *connection) wait(text []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.turns
	if c.closed || t == nil || len(t.texts) == maxTurns {
		return false
	}
	t.texts = append(t.texts, turn{text, t.last, t.waiting})
	return true
}

// next returns the text whose turn it is when a request is answered; nil: none, and the request has no turn any more.
func (c *connection) next(r *request) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.turns
	if len(t.texts) > 0 && t.texts[0].left == 1 && t.texts[0].behind >= r.turn {
		text := t.texts[0].text
		t.texts = t.texts[1:]
		return text
	}
	for i := range t.texts {
		if t.texts[i].behind >= r.turn {
			t.texts[i].left--
		}
	}
	if t.waiting--; t.waiting == 0 { // and no text waits for anything
		c.turns = nil
	}
	return nil
}

// say writes an answer of the edge itself, when its turn has come.
func (e *Edge) say(c *connection, text []byte) {
	if !c.wait(text) {
		e.write(c, text)
	}
}

// passOn is called when the answer to a request was written: those of the edge itself behind it may follow.
func (e *Edge) passOn(r *request) {
	if r.turn == 0 {
		return
	}
	for text := r.conn.next(r); text != nil; text = r.conn.next(r) {
		e.write(r.conn, text)
	}
}
