// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestMissedLink cuts the connection between a media role and its Janus while a PeerConnection comes up, and again while it ends.
// The client hears of both afterwards, once.
func TestMissedLink(t *testing.T) {
	c, gate := severable(t, nil)
	ctx := within(t, time.Minute)
	k := c.connect(ctx, t, "peer", 1)[0]
	admin, err := janusapi.NewAdmin(c.janus[0].Config.AdminWSURL(), c.janus[0].Config.AdminSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	pc, out := newSender(t)
	echoed := make(chan struct{})
	pc.OnTrack(func(in *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if _, _, err := in.ReadRTP(); err == nil {
			close(echoed)
		}
	})
	answer := offers(ctx, t, k, pc)

	gate.Cut()
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	go sends(sending, out)
	shows := func(what string) {
		t.Helper()
		lab.WaitFor(t, 15*time.Second, func() string {
			if info, err := onlyHandle(ctx, admin); err != nil || !strings.Contains(info, what) {
				return fmt.Sprintf("not %s: %s (%v)", what, info, err)
			}
			return ""
		})
	}
	shows(`"ready":true`)
	select {
	case <-echoed:
	case <-ctx.Done():
		t.Fatal("nothing comes back")
	}
	gate.Restore()
	heard := func(want ...string) {
		t.Helper()
		lab.WaitFor(t, 15*time.Second, func() string {
			if got := linkEvents(k); !slices.Equal(got, want) {
				return fmt.Sprintf("heard %q, want %q", got, want)
			}
			return ""
		})
	}
	heard("webrtcup", "media 0 true")

	gate.Cut()
	stop()
	if err := endLink(ctx, admin); err != nil { // the word of a peer that closes may get lost
		t.Fatal(err)
	}
	shows(`"ready":false`)
	gate.Restore()
	heard("webrtcup", "media 0 true", "hangup")
	if err := k.say(ctx); err != nil { // what comes behind it shows that nothing came twice
		t.Error(err)
	}
	heard("webrtcup", "media 0 true", "hangup")
}

// newSender is a peer connection that sends one audio track.
func newSender(t *testing.T) (*webrtc.PeerConnection, *webrtc.TrackLocalStaticRTP) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	out, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "e2e")
	if err == nil {
		_, err = pc.AddTrack(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pc, out
}

// offers sends an offer with all candidates in it to the echo test, and returns the answer's SDP.
func offers(ctx context.Context, t *testing.T, k *caller, pc *webrtc.PeerConnection) string {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(pc)
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer)
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		t.Fatal("no candidates")
	}
	jsep := map[string]any{"type": "offer", "sdp": pc.LocalDescription().SDP}
	m, err := k.Message(ctx, k.session, k.handle, map[string]any{"audio": true}, jsep)
	if err != nil || m.Text("jsep", "type") != "answer" {
		t.Fatalf("%s (%v)", m, err)
	}
	return m.Text("jsep", "sdp")
}

// sends sends a packet every 20 ms until the context ends.
func sends(ctx context.Context, out *webrtc.TrackLocalStaticRTP) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	packet := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111}, Payload: []byte("opus")}
	for ctx.Err() == nil {
		packet.SequenceNumber++
		packet.Timestamp += 960
		_ = out.WriteRTP(packet) // until it is connected nobody takes it
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// onlyHandle is what a Janus knows of its only handle.
func onlyHandle(ctx context.Context, admin *janusapi.Admin) (string, error) {
	var sessions struct{ Sessions []uint64 }
	answer, err := admin.Do(ctx, "list_sessions", nil)
	if err == nil {
		err = json.Unmarshal(answer, &sessions)
	}
	for _, session := range sessions.Sessions {
		var handles struct{ Handles []uint64 }
		if answer, err = admin.Do(ctx, "list_handles", map[string]any{"session_id": session}); err != nil || json.Unmarshal(answer, &handles) != nil {
			return "", err
		}
		for _, handle := range handles.Handles {
			answer, err = admin.Do(ctx, "handle_info", map[string]any{"session_id": session, "handle_id": handle})
			return strings.Join(strings.Fields(string(answer)), ""), err
		}
	}
	return "", errors.Join(err, errors.New("no handle"))
}

// endLink has Janus end the PeerConnection of its only handle.
func endLink(ctx context.Context, admin *janusapi.Admin) error {
	info, err := onlyHandle(ctx, admin)
	var handle struct {
		Session uint64 `json:"session_id"`
		Handle  uint64 `json:"handle_id"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(info), &handle)
	}
	if err == nil {
		_, err = admin.Do(ctx, "hangup_webrtc", map[string]any{"session_id": handle.Session, "handle_id": handle.Handle})
	}
	return err
}

// linkEvents are what a client was told of its PeerConnection, in order.
func linkEvents(k *caller) (all []string) {
	for _, m := range k.Events(k.handle) {
		switch m.Janus {
		case "event":
		case "media":
			all = append(all, fmt.Sprintf("media %s %s", m.Text("mid"), m.Get("receiving")))
		default:
			all = append(all, m.Janus)
		}
	}
	return all
}
