// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/januscloud/januscloud/scripts/lab"
)

// browser is a headless Chromium with one page, a camera that shows a test picture and a microphone that beeps.
type browser struct {
	ctx context.Context

	listened chan struct{} // closed when console is complete
	console  []string
}

// startBrowser starts Chromium. It ends with the test, and what the page wrote to its console is logged when that failed.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		// Janus resolves no mDNS names here: candidates must be addresses.
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns,Translate"),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, endAllocator := chromedp.NewExecAllocator(within(t, 3*time.Minute), options...)
	t.Cleanup(endAllocator)
	return newPage(t, allocator)
}

// another opens a page beside this one, in the same Chromium and a window of its own: what is hidden shows no pictures.
func (b *browser) another(t *testing.T) *browser {
	t.Helper()
	return newPage(t, b.ctx, chromedp.WithNewWindow(true))
}

// newPage opens a page, or Chromium with its first page.
func newPage(t *testing.T, in context.Context, options ...chromedp.ContextOption) *browser {
	t.Helper()
	ctx, end := chromedp.NewContext(in, options...)
	b := &browser{ctx: ctx}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes it in peace
		end()
		<-b.listened
		if t.Failed() {
			t.Logf("console of the page:\n%s", strings.Join(b.console, "\n"))
		}
	})
	messages := chromedp.Console(ctx)
	b.listened = make(chan struct{})
	go func() {
		defer close(b.listened)
		for m, err := range messages {
			if err != nil {
				return
			}
			const enough, tooLong = 200, 300
			if len(b.console) == enough {
				b.console = slices.Delete(b.console, 0, 1)
			}
			line := m.String()
			b.console = append(b.console, line[:min(len(line), tooLong)])
		}
	}()
	return b
}

// do runs actions, each a step of what.
func (b *browser) do(t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// until waits until an expression is true.
func until(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](expression)
}

// number is what a JavaScript expression comes to.
func (b *browser) number(expression string) (float64, error) {
	return chromedp.Run(b.ctx, chromedp.Evaluate[float64](expression, chromedp.EvalAwaitPromise))
}

// waitAbove waits until an expression is above a value, and returns what it is then.
func (b *browser) waitAbove(t *testing.T, what, expression string, value float64) (is float64) {
	t.Helper()
	lab.WaitFor(t, 30*time.Second, func() string {
		var err error
		if is, err = b.number(expression); err != nil {
			return fmt.Sprintf("%s: %v", what, err)
		}
		if is <= value {
			return fmt.Sprintf("%s is %v, want more than %v", what, is, value)
		}
		return ""
	})
	return is
}

const (
	// shown is how many pictures the page has shown of what came back.
	shown = `(() => {
		const video = document.querySelector("#videoright video");
		return video && video.videoWidth > 0 ? video.getVideoPlaybackQuality().totalVideoFrames : 0;
	})()`
)

// decoded is how many pictures a handle of janus.js has received and decoded.
func decoded(handle string) string { return statistic(handle, "inbound-rtp", "video", "framesDecoded") }

// heard is how much sound a handle has received, in seconds.
func heard(handle string) string {
	return statistic(handle, "inbound-rtp", "audio", "totalSamplesDuration")
}

// statistic is a number that the PeerConnection of a handle counts, added up over its streams of one kind.
func statistic(handle, report, kind, number string) string {
	return fmt.Sprintf(`%s.webrtcStuff.pc.getStats().then(s => [...s.values()].reduce((n, r) =>
		n + (r.type === %q && r.kind === %q ? r.%s : 0), 0))`, handle, report, kind, number)
}

// TestEchoTestPage opens the stock echo test page of a cluster in one process: it must show its own pictures, sent through a Janus
// and back, and get back what it writes to its data channel. It does so over either transport.
func TestEchoTestPage(t *testing.T) {
	for n, transport := range []string{"WebSocket", "HTTP"} {
		t.Run(transport, func(t *testing.T) { echoTestPage(t, n) })
	}
}

// echoTestPage uses the n-th of the servers that the page knows.
func echoTestPage(t *testing.T, n int) {
	dev := lab.Role(t, "dev", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--demo", "127.0.0.1:0", "--nats-listen", "off", "--health", "127.0.0.1:0")
	b := startBrowser(t)
	b.open(t, dev.Ready.Fields["demo"]+"echotest.html", n)
	b.echo(t)
	if all, err := metrics(dev); err != nil || all["januscloud_edge_http_answers_total"] > 0 != (n == 1) {
		t.Errorf("the page used another transport: %v answers over HTTP, %v", all["januscloud_edge_http_answers_total"], err)
	}
	if sessions := metric(t, dev, "januscloud_session_sessions"); sessions != 1 {
		t.Errorf("the cluster has %v sessions, want that of the page", sessions)
	}
	if handles := metric(t, dev, "januscloud_media_handles"); handles != 1 {
		t.Errorf("the two Janus have %v handles, want that of the page", handles)
	}
	b.stop(t)
	lab.WaitFor(t, 10*time.Second, func() string {
		return mismatch(dev, map[string]float64{"januscloud_session_sessions": 0, "januscloud_media_sessions": 0})
	})
}

// open opens a demo page, has it use the n-th of the servers that it knows (0: over WebSocket, 1: over HTTP), and starts it.
func (b *browser) open(t *testing.T, url string, n int) {
	t.Helper()
	b.do(t, "open the page",
		chromedp.Navigate(url),
		chromedp.WaitReady("#start"),
		until(`typeof Janus !== "undefined" && Janus.initDone`),
		until(fmt.Sprintf(`(server = server[%d]) !== undefined`, n)),
		chromedp.Click("#start"),
	)
}

// stop presses the button that ends a demo. The page loads itself anew when its session is destroyed.
func (b *browser) stop(t *testing.T) {
	t.Helper()
	b.do(t, "stop", chromedp.Click("#start"))
	b.waitAbove(t, "the button of a new page", `document.querySelector("#start")?.innerText === "Start" ? 1 : 0`, 0)
}

// echo waits until the echo test page has its pictures, its sound and its words back.
func (b *browser) echo(t *testing.T) {
	t.Helper()
	first := b.waitAbove(t, "pictures shown", shown, 0)
	// At ten a second these take two seconds.
	b.waitAbove(t, "pictures shown", shown, first+20)
	b.waitAbove(t, "pictures decoded", decoded("echotest"), 20)
	b.waitAbove(t, "seconds of sound", heard("echotest"), 1)
	b.do(t, "write to the data channel",
		chromedp.WaitEnabled("#datasend"),
		chromedp.SendKeys("#datasend", "is anybody there?"+kb.Enter),
		until(`document.querySelector("#datarecv").value === "Janus EchoTest here! You wrote: is anybody there?"`),
	)
}
