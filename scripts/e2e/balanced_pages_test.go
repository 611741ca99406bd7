// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/januscloud/januscloud/scripts/lab"
)

// The servers that a demo page knows.
const (
	overWebSocket = iota
	overHTTP
)

// TestBalancedEcho opens the stock echo test page through a balancer in front of two edges and two Janus, over either transport,
// while the stock page of administrators is open, too.
func TestBalancedEcho(t *testing.T) {
	c := startBalanced(t, time.Second)
	b := startBrowser(t)
	admin := b.another(t)
	for _, n := range []int{overWebSocket, overHTTP, overWebSocket} {
		b.open(t, c.front.PagesURL+"echotest.html", n)
		b.echo(t)
		if n == overHTTP {
			admin.administer(t, c.front.PagesURL+"admin.html", b)
		}
		b.stop(t)
		c.waitNoSessions(t)
	}
	c.checkRequests(t, 1)
	c.leave(t, b)
	c.checkConnections(t)
}

// administer has the page of administrators show the one session that there is, and the handle of its echo test.
func (b *browser) administer(t *testing.T, url string, caller *browser) {
	t.Helper()
	session, err := caller.number("janus.getSessionId()")
	if err != nil {
		t.Fatal(err)
	}
	handle, err := caller.number("echotest.getId()")
	if err != nil {
		t.Fatal(err)
	}
	b.do(t, "open the page of administrators", chromedp.Navigate(url), chromedp.WaitReady("#secret"),
		script(fmt.Sprintf(`$("#secret").val(%q); $(".bootbox .btn-primary").click()`, adminSecret)))
	for _, link := range []string{fmt.Sprintf("#session-%.0f", session), fmt.Sprintf("#handle-%.0f", handle)} {
		b.do(t, "choose "+link, chromedp.WaitReady(link), script(fmt.Sprintf(`$(%q).click()`, link)))
	}
	b.waitTrue(t, "what the Janus of the handle says of it", `handleInfo.plugin === "janus.plugin.echotest" && handleInfo.webrtc.ice !== undefined`)
	b.waitTrue(t, "the settings", `document.querySelector("#server-settings").textContent.includes("session_timeout")`)
	b.waitTrue(t, "the only session", `document.querySelector("#sessions-num").textContent === "1"`)
}

// TestBalancedEdgeDies kills an edge under two echo test pages. Media goes on; the page over HTTP does not notice anything but a
// poll that fails, and the one whose WebSocket is lost claims its session at another edge.
func TestBalancedEdgeDies(t *testing.T) {
	c := startBalanced(t, 30*time.Second)
	one := startBrowser(t)
	two := one.another(t)
	one.open(t, c.front.PagesURL+"echotest.html", overWebSocket)
	one.echo(t)
	two.open(t, c.front.PagesURL+"echotest.html", overHTTP)
	two.echo(t)
	victim, heir := c.edges[0], c.edges[1]
	if metric(t, victim, "januscloud_websocket_connections") == 0 {
		victim, heir = heir, victim
	}
	victim.Kill()
	c.edges = []*lab.RoleProcess{heir}
	one.waitTrue(t, "the WebSocket is lost", `!janus.isConnected()`)
	// An event between the two polls would go to the one that is lost.
	lab.WaitFor(t, 10*time.Second, func() string {
		return mismatch(heir, map[string]float64{"januscloud_edge_pending_polls": 1})
	})
	two.answered(t)
	one.do(t, "claim the session", script(`janus.reconnect({ success: () => reconnected = true, error: reason => reconnected = reason })`),
		until(`typeof reconnected !== "undefined"`), until(`reconnected === true`))
	one.answered(t)
	for _, b := range []*browser{one, two} {
		before := b.waitAbove(t, "pictures decoded", decoded("echotest"), 20)
		b.waitAbove(t, "pictures decoded", decoded("echotest"), before+20)
		b.waitTrue(t, "the connection to Janus was never lost", `echotest.webrtcStuff.pc.connectionState === "connected"`)
		b.do(t, "end", script(`janus.destroy()`)) // the button is behind the page's lament over the WebSocket
	}
	c.waitNoSessions(t)
}

// answered sends the echo test a message and waits for the event that answers it.
func (b *browser) answered(t *testing.T) {
	t.Helper()
	b.do(t, "send a message", script(`{
		const usual = echotest.onmessage;
		answers = 0;
		echotest.onmessage = (message, jsep) => { answers++; usual(message, jsep); };
		echotest.send({ message: { bitrate: 512000 } });
	}`), until(`answers === 1`))
}

// TestBalancedPages opens the stock pages whose visitors meet one another, through a balancer in front of two edges and two
// Janus. Where there are two visitors, one comes over WebSocket and one over HTTP; one alone comes over HTTP.
func TestBalancedPages(t *testing.T) {
	c := startBalanced(t, time.Second)
	one := startBrowser(t)
	two := one.another(t)
	sessions := 0
	for _, p := range []struct {
		file  string
		alone func(t *testing.T, b *browser)
		meet  func(t *testing.T, one, two *browser)
	}{
		{"videoroomtest.html", nil, c.videoRoom},
		{"mvideoroomtest.html", nil, multistreamVideoRoom},
		{"screensharingtest.html", nil, screenSharing},
		{"videocalltest.html", nil, c.videoCall},
		{"p2pcalltest.html", nil, c.peerCall},
		{"audiobridgetest.html", nil, audioBridge},
		{"textroomtest.html", nil, textRoom},
		{"streamingtest.html", streaming, nil},
		{"recordplaytest.html", recordPlay, nil},
		{"nosiptest.html", noSIP, nil},
	} {
		t.Run(p.file, func(t *testing.T) {
			url := c.front.PagesURL + p.file
			t.Cleanup(func() { c.leave(t, one, two) })
			sessions++
			two.open(t, url, overHTTP)
			if p.alone != nil {
				p.alone(t, two)
				return
			}
			one.open(t, url, overWebSocket)
			p.meet(t, one, two)
		})
	}
	c.checkRequests(t, sessions)
	c.checkConnections(t)
}

// leave has the pages go away, at which janus.js destroys their sessions.
func (c *balanced) leave(t *testing.T, pages ...*browser) {
	t.Helper()
	for _, b := range pages {
		b.do(t, "leave the page", chromedp.Navigate("about:blank"))
	}
	c.waitNoSessions(t)
}

// script is a step that a page's own script could do.
func script(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](expression + "; undefined")
}

// enter writes into a field and presses Enter.
func (b *browser) enter(t *testing.T, field, text string) {
	t.Helper()
	b.do(t, "write into "+field, chromedp.WaitVisible(field), chromedp.WaitEnabled(field), chromedp.SendKeys(field, text+kb.Enter))
}

// waitTrue waits until an expression is true.
func (b *browser) waitTrue(t *testing.T, what, expression string) {
	t.Helper()
	b.waitAbove(t, what, fmt.Sprintf(`(%s) ? 1 : 0`, expression), 0)
}

// sees waits until a handle has brought pictures and sound.
func (b *browser) sees(t *testing.T, handle string) {
	t.Helper()
	b.waitAbove(t, "pictures decoded", decoded(handle), 10)
	b.waitAbove(t, "seconds of sound", heard(handle), 0.5)
}

// videoRoom has three people meet, see one another, and part.
func (c *balanced) videoRoom(t *testing.T, one, two *browser) {
	one.enter(t, "#username", "Ada")
	one.waitTrue(t, "its own picture is there", `document.querySelector("#videolocal video")`)
	two.enter(t, "#username", "Bob")
	one.sees(t, "feeds[1]")
	two.sees(t, "feeds[1]")
	one.waitTrue(t, "the name of the other", `document.querySelector("#remote1").innerText === "Bob"`)
	two.waitTrue(t, "the name of the other", `document.querySelector("#remote1").innerText === "Ada"`)
	three := two.another(t)
	three.open(t, c.front.PagesURL+"videoroomtest.html", overWebSocket)
	three.enter(t, "#username", "Eve")
	for _, b := range []*browser{one, two, three} {
		b.sees(t, "feeds[1]")
		b.sees(t, "feeds[2]")
	}
	one.waitTrue(t, "the name of the third", `document.querySelector("#remote2").innerText === "Eve"`)
	three.do(t, "leave", chromedp.Navigate("about:blank"))
	one.waitTrue(t, "the third one has gone", `!feeds[2]`)
	two.do(t, "unpublish", chromedp.Click("#unpublish"))
	one.waitTrue(t, "the other one has gone", `!feeds[1]`)
	two.do(t, "publish again", chromedp.WaitVisible("#publish"), chromedp.Click("#publish"))
	one.sees(t, "feeds[1]")
	two.do(t, "leave", chromedp.Navigate("about:blank"))
	one.waitTrue(t, "the other one has gone", `!feeds[1]`)
}

// multistreamVideoRoom is the same with one PeerConnection for all that is received.
func multistreamVideoRoom(t *testing.T, one, two *browser) {
	one.enter(t, "#username", "Ada")
	one.waitTrue(t, "its own picture is there", `document.querySelector("#videolocal video")`)
	two.enter(t, "#username", "Bob")
	one.sees(t, "remoteFeed")
	two.sees(t, "remoteFeed")
}

// screenSharing has one show his screen in a room of his own, and the other watch it by the number that he was told.
func screenSharing(t *testing.T, one, two *browser) {
	one.enter(t, "#desc", "of some seconds")
	two.do(t, "wait for the page", chromedp.WaitVisible("#roomid"), script(`{
		const usual = janus.attach;
		janus.attach = options => usual({ ...options, success: handle => { watched = handle; options.success(handle); } });
	}`))
	one.waitAbove(t, "pictures of the screen sent", statistic("screentest", "outbound-rtp", "video", "framesEncoded"), 0)
	room, err := one.number("room")
	if err != nil {
		t.Fatal(err)
	}
	two.enter(t, "#roomid", fmt.Sprintf("%.0f", room))
	two.waitTrue(t, "its title", `document.querySelector("#title").innerText === "of some seconds"`)
	two.waitAbove(t, "width of the screen", `document.querySelector("#screencapture video")?.videoWidth ?? 0`, 0)
	two.sees(t, "watched")
	one.do(t, "leave", chromedp.Navigate("about:blank"))
	two.waitTrue(t, "word of the end", `document.querySelector(".bootbox")?.innerText.includes("the publisher left")`)
}

// videoCall has one call the other, whose handle is on the other Janus.
func (c *balanced) videoCall(t *testing.T, one, two *browser) {
	two.register(t, "bob")
	on := func() (list []float64) {
		for _, m := range c.media {
			list = append(list, metric(t, m, "januscloud_media_handles"))
		}
		return list
	}
	for try := 1; ; try++ {
		one.register(t, fmt.Sprint("ada", try)) // the name of a page that was left is taken until its session can be reclaimed no more
		if !slices.Contains(on(), 0) {
			break
		}
		if try == 3 { // each was placed before there was word of the other
			t.Fatalf("handles of the two Janus: %v", on())
		}
		one.open(t, c.front.PagesURL+"videocalltest.html", overWebSocket)
	}
	call(t, one, two)
	if handles := on(); !slices.Contains(handles, 0) {
		t.Errorf("handles of the two Janus during the call: %v", handles)
	}
	hangUp(t, one, two)
}

// peerCall has one call the other, with no Janus between them.
func (c *balanced) peerCall(t *testing.T, one, two *browser) {
	one.register(t, "ada")
	two.register(t, "bob")
	call(t, one, two)
	for _, m := range c.media {
		if handles := metric(t, m, "januscloud_media_handles"); handles != 0 {
			t.Errorf("%g handles on a Janus", handles)
		}
	}
	hangUp(t, one, two)
}

// register takes a name on a page for calls.
func (b *browser) register(t *testing.T, name string) {
	t.Helper()
	b.enter(t, "#username", name)
	b.do(t, "register", chromedp.WaitVisible("#youok"))
}

// call has one call the other, bob, who answers; they see one another, and one writes.
func call(t *testing.T, one, two *browser) {
	t.Helper()
	one.enter(t, "#peer", "bob")
	two.do(t, "answer", chromedp.WaitReady(".bootbox .btn-success"), script(`$(".bootbox .btn-success").click()`))
	one.sees(t, "videocall")
	two.sees(t, "videocall")
	one.do(t, "write", chromedp.WaitEnabled("#datasend"), script(`$("#datasend").val("hello"); sendData()`))
	two.waitTrue(t, "what the other wrote", `document.querySelector("#datarecv").value === "hello"`)
}

// hangUp ends a call.
func hangUp(t *testing.T, one, two *browser) {
	t.Helper()
	two.do(t, "hang up", script(`$("#call").click()`))
	one.waitTrue(t, "the call has ended", `document.querySelector(".bootbox")?.innerText.includes("Call hangup") ||
		document.querySelector("#call").innerText === "Call"`)
}

// audioBridge has two people hear the room, and know of one another.
func audioBridge(t *testing.T, one, two *browser) {
	one.enter(t, "#username", "Ada")
	two.enter(t, "#username", "Bob")
	for b, other := range map[*browser]string{one: "Bob", two: "Ada"} {
		b.waitAbove(t, "seconds of sound", heard("mixertest"), 1)
		b.waitTrue(t, "the name of the other", fmt.Sprintf(`document.querySelector("#list").innerText.includes(%q)`, other))
	}
}

// textRoom has two people write to one another over data channels.
func textRoom(t *testing.T, one, two *browser) {
	one.enter(t, "#username", "Ada")
	two.enter(t, "#username", "Bob")
	one.waitTrue(t, "the name of the other", `document.querySelector("#list").innerText.includes("Bob")`)
	two.waitTrue(t, "the name of the other", `document.querySelector("#list").innerText.includes("Ada")`)
	one.enter(t, "#datasend", "hello Bob")
	two.enter(t, "#datasend", "hello Ada")
	one.waitTrue(t, "what the other wrote", `document.querySelector("#chatroom").innerText.includes("hello Ada")`)
	two.waitTrue(t, "what the other wrote", `document.querySelector("#chatroom").innerText.includes("hello Bob")`)
}

// streaming listens to the radio, then to the music of Janus's samples.
func streaming(t *testing.T, b *browser) {
	for _, id := range []int{2, 3} {
		entry := fmt.Sprintf(`#streamslist a[id="%d"]`, id)
		b.do(t, "choose a stream", chromedp.WaitReady(entry), chromedp.WaitEnabled("#watch"), script(fmt.Sprintf(`$('%s').click()`, entry)))
		b.do(t, "watch", chromedp.Click("#watch"))
		b.waitAbove(t, "seconds of sound", heard("streaming"), 1)
		b.do(t, "stop watching", until(`document.querySelector("#watch").innerText === "Stop"`), chromedp.Click("#watch"),
			until(`document.querySelector("#watch").innerText.startsWith("Watch")`))
	}
}

// recordPlay makes a recording, and plays it.
func recordPlay(t *testing.T, b *browser) {
	const name = "of some seconds"
	b.do(t, "record", chromedp.WaitEnabled("#record"), chromedp.Click("#record"), chromedp.WaitReady(".bootbox-input"),
		script(fmt.Sprintf(`$(".bootbox-input").val(%q); $(".bootbox .btn-primary").click()`, name)))
	b.waitAbove(t, "pictures sent", statistic("recordplay", "outbound-rtp", "video", "framesEncoded"), 60)
	// The page hangs up by itself, and hears that from Janus: to play before that would be to play what is then hung up.
	b.do(t, "end the recording", script(`{
		const usual = recordplay.oncleanup;
		ends = 0;
		recordplay.oncleanup = () => { ends++; usual(); };
		$("#stop").click();
	}`), until(`ends === 2`))
	entry := fmt.Sprintf(`$("#recslist a").filter((n, a) => a.innerText.includes(%q))`, name)
	b.waitTrue(t, "the recording is in the list", entry+`.length === 1`)
	b.do(t, "play", script(entry+`.click()`), script(`$("#play").click()`))
	// Both in one look: what is played ends soon.
	both := fmt.Sprintf(`Promise.all([%s, %s]).then(([pictures, seconds]) => Math.min(pictures / 20, seconds))`,
		decoded("recordplay"), heard("recordplay"))
	b.waitAbove(t, "seconds played", both, 0.5)
}

// noSIP has a page call itself, with one handle for each side.
func noSIP(t *testing.T, b *browser) {
	b.sees(t, "caller")
	b.sees(t, "callee")
}
