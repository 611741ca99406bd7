// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// client is one connection and what it waits for.
type client struct {
	*socket
	number          int
	size            int // wanted of a message, in bytes
	filler          []byte
	session, handle uint64
	made            []uint64 // sessions that are to be destroyed

	count   uint64 // of requests; numbers the transactions
	out     []byte // the last request, behind room for its header
	own     []byte // its transaction, as JSON: a part of out
	asked   *step
	waiting answers
	begun   time.Time // of the round
	sent    time.Time // of the last request
	at      int       // which request of the round that is
}

// errWrong marks answers that no correct server gives.
var errWrong = errors.New("drive: wrong answer")

// ask sends a request.
func (c *client) ask(s *step, patience time.Duration) error {
	c.count++
	b := append(c.out[:0], make([]byte, headerRoom)...)
	b = append(append(append(b, `{"janus":"`...), s.verb...), `","transaction":`...)
	from := len(b)
	b = strconv.AppendInt(append(b, '"'), int64(c.number), 36)
	b = strconv.AppendUint(append(b, '-'), c.count, 36)
	b = append(b, '"')
	to := len(b)
	if s.fields != nil {
		b = s.fields(c, b)
	}
	b = append(b, '}')
	c.out, c.own = b, b[from:to]
	c.asked, c.waiting = s, s.wants
	framed, err := frame(b)
	if err != nil {
		return err
	}
	c.sent = time.Now()
	return c.write(framed, patience)
}

// take looks at a message. done: it was the last that the request waited for.
func (c *client) take(text []byte, m *janusjson.Message) (done bool, err error) {
	if err := c.verify(text, m); err != nil {
		return false, fmt.Errorf("%w: %w: %s, to %s", errWrong, err, text, c.out[headerRoom:])
	}
	c.waiting &^= answerOf(m.Verb())
	return c.waiting == 0, nil
}

func (c *client) verify(text []byte, m *janusjson.Message) error {
	if err := janusjson.Scan(text, m); err != nil {
		return err
	}
	if answer := answerOf(m.Verb()); answer == 0 || c.waiting&answer == 0 {
		return errors.New("not waited for")
	}
	if !bytes.Equal(m.Bytes(janusjson.KeyTransaction), c.own) {
		return errors.New("another transaction")
	}
	session, named := m.Uint(janusjson.KeySessionID)
	if named != c.asked.inSession || named && session != c.session {
		return fmt.Errorf("session %d, not %d", session, c.session)
	}
	if c.asked.check != nil {
		return c.asked.check(c, m)
	}
	return nil
}

// exchange sends a request and waits for all that answers it, with a buffer and a message to work with.
func (c *client) exchange(s step, buf []byte, m *janusjson.Message, patience time.Duration) error {
	if err := c.ask(&s, patience); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		if err := c.wait(unix.POLLIN, time.Until(deadline)); err != nil {
			if errors.Is(err, errPatience) {
				err = c.unanswered(patience)
			}
			return err
		}
		received, err := c.read(buf)
		if err != nil {
			return err
		}
		done, err := c.takeAll(received, m)
		if done || err != nil {
			return err
		}
	}
}

// unanswered tells what is missing of the answers to the last request.
func (c *client) unanswered(patience time.Duration) error {
	return fmt.Errorf("%w for %v: no %v to %s", errPatience, patience, c.waiting, c.out[headerRoom:])
}

// takeAll takes every whole message of what was received and keeps the rest. done: the request is answered; more than its
// answers is wrong.
func (c *client) takeAll(received []byte, m *janusjson.Message) (done bool, err error) {
	for {
		text, rest, whole, err := cutFrame(received)
		if err != nil {
			return false, err
		}
		if !whole {
			c.rest = append(c.rest[:0], rest...)
			return done, nil
		}
		if done, err = c.take(text, m); err != nil {
			return false, err
		}
		received = rest
	}
}

// destroyMade destroys the sessions that the client made.
func (c *client) destroyMade(buf []byte, m *janusjson.Message, patience time.Duration) error {
	for len(c.made) > 0 {
		last := len(c.made) - 1
		c.session, c.made = c.made[last], c.made[:last]
		if err := c.exchange(destroy(), buf, m, patience); err != nil {
			return err
		}
	}
	c.session, c.handle = 0, 0
	return nil
}
