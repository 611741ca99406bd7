// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// packetTime stands between two packets, as usual for Opus.
	packetTime = 20 * time.Millisecond
	// connectTime is how long a peer connection may take.
	connectTime = 10 * time.Second
)

// Media is what became of real media.
type Media struct {
	// Packets came back; Lost did not, though later ones did.
	Packets, Lost int
	// Gap is the longest time in which a peer received nothing.
	Gap time.Duration
}

// Add sums up; of the gaps the longest stays.
func (m *Media) Add(o Media) {
	m.Packets += o.Packets
	m.Lost += o.Lost
	m.Gap = max(m.Gap, o.Gap)
}

// track is what one peer receives: numbered packets.
type track struct {
	mu   sync.Mutex // guards the rest: the reader writes, whoever judges reads
	last uint64     // number; 0: none of this connection yet
	at   time.Time  // when the last came; zero: none ever
	seen Media
}

// packet notes the packet with a number, from 1.
func (t *track) packet(n uint64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Packets++
	switch {
	case t.last == 0 || n == t.last+1:
	case n > t.last:
		t.seen.Lost += int(n - t.last - 1)
	default: // it was held for lost
		t.seen.Lost--
		return
	}
	t.last = n
	t.silence(now)
	t.at = now
}

func (t *track) silence(now time.Time) {
	if !t.at.IsZero() {
		t.seen.Gap = max(t.seen.Gap, now.Sub(t.at))
	}
}

// renew begins to count anew, on another connection; the time between is a gap.
func (t *track) renew() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = 0
}

// take returns what was seen since it was called last.
func (t *track) take(now time.Time) Media {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silence(now)
	seen := t.seen
	t.seen = Media{}
	return seen
}

// peer is an echo test with real media: packets with numbers, which Janus sends back.
type peer struct {
	*session
	track  track
	pc     *webrtc.PeerConnection
	of     uint64 // the handle that it belongs to
	cancel context.CancelFunc
}

func (c *Crowd) newPeer(n int) *peer {
	return &peer{session: newSession(fmt.Sprintf("peer%d", n+1), c.edges, n), cancel: func() {}}
}

// run is the life of a peer: an echo test that keeps a peer connection.
func (p *peer) run(ctx context.Context, c *Crowd) {
	defer func() { p.drop() }()
	c.echo(ctx, p.session, func() error {
		if !p.hung.Swap(false) && p.pc != nil && p.of == p.handle {
			return nil
		}
		p.drop()
		err := p.connect(ctx)
		if errors.Is(err, errSession) || errors.Is(err, errHandle) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			p.drop()
		}
		return nil
	})
}

func (p *peer) drop() {
	p.cancel()
	if p.pc != nil {
		_ = p.pc.Close()
		p.pc = nil
		p.track.renew()
	}
}

// connect sets a peer connection up.
func (p *peer) connect(ctx context.Context) error {
	pc, out, err := newConnection()
	if err != nil {
		return err
	}
	p.pc, p.of = pc, p.handle
	pc.OnTrack(func(in *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.receive(in) })
	connected := make(chan struct{})
	var once sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(connected) })
		}
	})
	offer, err := offerOf(ctx, pc)
	if err != nil {
		return err
	}
	sdp, err := p.negotiate(ctx, map[string]any{"audio": true}, map[string]any{"type": "offer", "sdp": offer})
	if err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("crowd: answer: %w", err)
	}
	sending, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	go func() {
		select {
		case <-connected:
			send(sending, out)
		case <-sending.Done():
		}
	}()
	return nil
}

// negotiate sends an offer and returns the answer's SDP.
func (p *peer) negotiate(ctx context.Context, body, jsep map[string]any) (sdp string, err error) {
	heard := p.heard
	p.heard = func(m lab.Message) {
		if m.Text("jsep", "type") == "answer" {
			sdp = m.Text("jsep", "sdp")
		}
	}
	defer func() { p.heard = heard }()
	if _, err = p.ask(ctx, map[string]any{"janus": "message", "body": body, "jsep": jsep}, true); err != nil {
		return "", err
	}
	return sdp, p.restUntil(ctx, func() bool { return sdp != "" })
}

// newConnection is a peer connection that sends one audio track.
func newConnection() (*webrtc.PeerConnection, *webrtc.TrackLocalStaticRTP, error) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, nil, fmt.Errorf("crowd: peer connection: %w", err)
	}
	out, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "chaos")
	if err == nil {
		_, err = pc.AddTrack(out)
	}
	if err != nil {
		_ = pc.Close()
		return nil, nil, fmt.Errorf("crowd: track: %w", err)
	}
	return pc, out, nil
}

// offerOf is an offer with all candidates in it.
func offerOf(ctx context.Context, pc *webrtc.PeerConnection) (string, error) {
	gathered := webrtc.GatheringCompletePromise(pc)
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer)
	}
	if err != nil {
		return "", fmt.Errorf("crowd: offer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", fmt.Errorf("crowd: candidates: %w", ctx.Err())
	}
}

// send sends a packet every packetTime until the context ends.
func send(ctx context.Context, out *webrtc.TrackLocalStaticRTP) {
	const samples = 960 // of packetTime, at 48 kHz
	ticker := time.NewTicker(packetTime)
	defer ticker.Stop()
	packet := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111}}
	for n := uint64(1); ; n++ {
		packet.SequenceNumber++
		packet.Timestamp += samples
		packet.Payload = binary.BigEndian.AppendUint64(nil, n)
		if err := out.WriteRTP(packet); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// receive notes the packets of a track until it ends.
func (p *peer) receive(in *webrtc.TrackRemote) {
	for {
		packet, _, err := in.ReadRTP()
		if err != nil {
			return
		}
		if len(packet.Payload) == 8 {
			p.track.packet(binary.BigEndian.Uint64(packet.Payload), time.Now())
		}
	}
}
