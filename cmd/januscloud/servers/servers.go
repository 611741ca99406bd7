// SPDX-License-Identifier: Apache-2.0

// Package servers knows the roles of a running cluster by their heartbeats: it lists them (this file), and drains them
// (drain.go).
package servers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// listenTime is how long heartbeats are listened to: every living role beats several times meanwhile.
const listenTime = 4 * messages.BeatInterval

// Server is one role as its last heartbeat shows it. What does not apply to a role is left out.
type Server struct {
	Role        messages.Role       `json:"role"`
	Name        string              `json:"name"`
	Incarnation string              `json:"incarnation"` // another one after each start; a later one compares greater
	State       messages.State      `json:"state"`
	Silent      bool                `json:"silent,omitempty"` // it has ceased to beat
	Load        float64             `json:"load"`             // of its machine's processors, 0 to 1
	Host        string              `json:"host,omitempty"`
	Region      string              `json:"region,omitempty"`
	Sessions    *int                `json:"sessions,omitempty"`
	Partitions  *int                `json:"partitions,omitempty"` // of 1024
	Handles     *int                `json:"handles,omitempty"`
	Connections *int                `json:"connections,omitempty"` // of clients, and long polls that wait
	Janus       messages.JanusState `json:"janus,omitempty"`
	Version     string              `json:"version,omitempty"` // of the Janus
}

func serverOf(p roster.Peer) Server {
	b := p.Beat
	s := Server{
		Role: b.Role, Name: b.Member.Name, Incarnation: b.Member.Inc, State: b.State, Silent: p.Silent,
		Load: b.Load, Host: b.Host, Region: b.Region,
	}
	switch {
	case b.Edge != nil:
		s.Connections = &b.Edge.Connections
	case b.Session != nil:
		owned, _ := b.Left()
		s.Sessions, s.Partitions = &b.Session.Sessions, &owned
	case b.Media != nil:
		s.Sessions, s.Handles, s.Janus, s.Version = &b.Media.Sessions, &b.Media.Handles, b.Media.Janus, b.Media.Version
	}
	return s
}

// Watch listens to a cluster.
type Watch struct {
	bus    *bus.Bus
	roster *roster.Roster
}

// Listen begins to listen, and returns when every living role has been heard. ctx bounds that alone; the watch is to be stopped.
func Listen(ctx context.Context, b *bus.Bus) (*Watch, error) {
	r, err := roster.Start(ctx, roster.Options{Bus: b, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	w := &Watch{b, r}
	timer := time.NewTimer(listenTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return w, nil
	case <-ctx.Done():
		w.Stop()
		return nil, context.Cause(ctx)
	}
}

// Stop ends the watch.
func (w *Watch) Stop() { w.roster.Stop() }

// peers are all roles: edges, session nodes, media servers, each by name.
func (w *Watch) peers() []roster.Peer {
	v := w.roster.View()
	return slices.Concat(v.Edges(), v.Nodes(), v.Media())
}

// List is every role that is heard.
func (w *Watch) List() []Server {
	list := []Server{}
	for _, p := range w.peers() {
		list = append(list, serverOf(p))
	}
	return list
}

// WriteJSON writes servers for programs.
func WriteJSON(w io.Writer, list []Server) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

// WriteText writes servers for people.
func WriteText(w io.Writer, list []Server) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ROLE\tNAME\tSTATE\tLOAD\tCONNECTIONS\tPARTITIONS\tSESSIONS\tHANDLES\tJANUS\tREGION\tHOST")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f%%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Role, s.Name, s.state(), s.Load*100,
			number(s.Connections), number(s.Partitions), number(s.Sessions), number(s.Handles), s.janus(), cmp.Or(s.Region, "-"), cmp.Or(s.Host, "-"))
	}
	return t.Flush()
}

func (s Server) state() string {
	if s.Silent {
		return "silent"
	}
	return string(s.State)
}

func (s Server) janus() string {
	if s.Janus == "" {
		return "-"
	}
	return strings.TrimSpace(s.Version + " " + string(s.Janus))
}

func number(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
