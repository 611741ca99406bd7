// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Message is one message of a Janus, taken apart as far as any test looks.
type Message struct {
	// Raw is the message as received.
	Raw json.RawMessage
	// Janus is its kind: success, ack, error, event, webrtcup, hangup, …
	Janus string
	// Transaction is that of the request it answers; "" when it has none.
	Transaction string
	// Session and Handle are session_id and sender; 0 when absent.
	Session, Handle uint64
	// Error is set in messages of kind error.
	Error *Error
}

// Error is the error of a Janus reply: a code of apierror.h and its text.
type Error struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

func (e *Error) Error() string { return fmt.Sprintf("janus error %d: %s", e.Code, e.Reason) }

// ParseMessage takes a message apart. The Janus API is spoken in objects only; anything else is an error.
func ParseMessage(raw []byte) (Message, error) {
	var fields struct {
		Janus       string      `json:"janus"`
		Transaction string      `json:"transaction"`
		SessionID   json.Number `json:"session_id"`
		Sender      json.Number `json:"sender"`
		Error       *Error      `json:"error"`
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return Message{Raw: raw}, fmt.Errorf("lab: not a Janus message: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return Message{Raw: raw}, errors.New("lab: not a Janus message: no JSON object")
	}
	return Message{
		Raw: raw, Janus: fields.Janus, Transaction: fields.Transaction,
		Session: number(fields.SessionID), Handle: number(fields.Sender), Error: fields.Error,
	}, nil
}

// number reads an id. Janus prints those above 2^63 as negative numbers.
func number(n json.Number) uint64 {
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u
	}
	i, _ := strconv.ParseInt(n.String(), 10, 64)
	return uint64(i)
}

// Get is the raw value at a path of keys ("plugindata", "data", "videoroom"); nil when there is none.
func (m Message) Get(path ...string) json.RawMessage {
	value := m.Raw
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		value = object[key]
	}
	return value
}

// Text is the string at a path; "" when there is none.
func (m Message) Text(path ...string) string {
	var s string
	_ = json.Unmarshal(m.Get(path...), &s)
	return s
}

// Number is the integer at a path; 0 when there is none.
func (m Message) Number(path ...string) uint64 {
	var n json.Number
	_ = json.Unmarshal(m.Get(path...), &n)
	return number(n)
}

// IsReply tells a direct answer to a request from what a plugin or the core says later.
func (m Message) IsReply() bool {
	switch m.Janus {
	case "success", "ack", "error", "server_info", "pong":
		return true
	}
	return false
}

// String is the message on one line.
func (m Message) String() string { return strings.Join(strings.Fields(string(m.Raw)), " ") }
