// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// gateway is a running Janus, asked over both of its transports.
type gateway struct {
	conn net.Conn
	read io.Reader
	http string
	sent int
}

func dial(wsURL, httpURL string) (*gateway, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, early, _, err := ws.Dialer{Protocols: []string{"janus-protocol"}}.Dial(ctx, wsURL)
	if err != nil {
		return nil, err
	}
	g := &gateway{conn: conn, read: conn, http: httpURL}
	if early != nil {
		g.read = io.MultiReader(early, conn)
	}
	g.read = bufio.NewReader(g.read)
	return g, nil
}

// fault is the error of a reply: "code reason", "code" without one, "" for none.
func fault(reply []byte) (string, error) {
	var r struct {
		Error *struct {
			Code   int
			Reason *string
		}
	}
	if err := json.Unmarshal(reply, &r); err != nil || r.Error == nil {
		return "", err
	}
	if r.Error.Reason == nil {
		return fmt.Sprint(r.Error.Code), nil
	}
	return fmt.Sprint(r.Error.Code, " ", *r.Error.Reason), nil
}

// overWebSocket sends a message and returns the faults of the replies: all those
// before the reply to a ping that is sent behind it, and those further ones that
// make up the count foreseen, for Janus answers some requests out of order.
func (g *gateway) overWebSocket(input string, foreseen int) (faults []string, err error) {
	g.sent++
	mark := fmt.Sprintf("mark-%d", g.sent)
	g.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := wsutil.WriteClientBinary(g.conn, []byte(input)); err != nil {
		return nil, err
	}
	if err := wsutil.WriteClientText(g.conn, []byte(`{"janus":"ping","transaction":"`+mark+`"}`)); err != nil {
		return nil, err
	}
	for marked := false; !marked || len(faults) < foreseen; {
		reply, _, err := wsutil.ReadServerData(struct {
			io.Reader
			io.Writer
		}{g.read, g.conn})
		if err != nil {
			return nil, err
		}
		if bytes.Contains(reply, []byte(mark)) {
			marked = true
			continue
		}
		f, err := fault(reply)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	return faults, nil
}

// overHTTP posts a body and returns the fault of the reply.
func (g *gateway) overHTTP(input string) (string, error) {
	resp, err := http.Post(g.http, "application/json", strings.NewReader(input))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	return fault(reply)
}

// expected are the faults that the package foresees, where the core need not be
// asked: nil for a WebSocket message that Janus accepts.
func expected(input string) (overWS []string, overHTTP string, texts int) {
	var syntax *janusjson.SyntaxError
	accepted, err := janusjson.Decode([]byte(input), janusjson.Quirks{TrailingSpaceBroken: true})
	if errors.As(err, &syntax) {
		overWS = []string{answer(syntax.Reason())}
	}
	_, err = janusjson.DecodeOne([]byte(input))
	if errors.As(err, &syntax) {
		overHTTP = answer(syntax.HTTPReason())
	} else if errors.Is(err, janusjson.ErrNotObject) {
		overHTTP = "455 JSON error: not an object"
	}
	return overWS, overHTTP, len(accepted)
}

func answer(reason string, ok bool) string {
	if !ok {
		return "454"
	}
	return "454 " + reason
}

// converse asks a Janus 1.1.2 all inputs and reports where it answers otherwise
// than the package foresees. It writes some of what was asked and answered.
func (g *gateway) converse(inputs []string, w io.Writer) error {
	for n, input := range inputs {
		wantWS, wantHTTP, texts := expected(input)
		faults, err := g.overWebSocket(input, max(texts, len(wantWS)))
		if err != nil {
			return fmt.Errorf("%q: %w", input, err)
		}
		if wantWS != nil && fmt.Sprint(faults) != fmt.Sprint(wantWS) || wantWS == nil && len(faults) != texts {
			return fmt.Errorf("%q over WebSocket:\nours   %q, %d\ntheirs %q", input, wantWS, texts, faults)
		}
		over := ""
		if input != "" {
			if over, err = g.overHTTP(input); err != nil {
				return fmt.Errorf("%q: %w", input, err)
			}
			if refused := strings.HasPrefix(over, "454") || strings.Contains(over, "JSON"); refused != (wantHTTP != "") || refused && over != wantHTTP {
				return fmt.Errorf("%q over HTTP:\nours   %q\ntheirs %q", input, wantHTTP, over)
			}
		}
		if n%40 == 0 && len(input) < 500 {
			fmt.Fprintf(w, "%q\t%q\t%q\n", input, faults, over)
		}
	}
	return nil
}
