// SPDX-License-Identifier: Apache-2.0

// Package demo serves the stock demo pages of Janus as Debian packages them (janus-demos), pointed at an edge: only
// settings.js is ours, and an index page that says where everything is.
package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Folder is where Debian puts the pages.
const Folder = "/usr/share/janus/demos"

// Options say what to serve.
type Options struct {
	Folder    string            // of the pages; Folder by default
	Port      int               // of the edge's WebSocket transport, on the host that the browser used for the page
	HTTP      string            // port and path of its HTTP transport, for browsers that cannot use the first (":8088/janus"); empty: none
	Addresses map[string]string // shown on the index page, by what they are for
	Health    http.Handler      // answers /healthz, /readyz and /metrics; nil: they are not there
}

//go:embed index.html
var indexHTML string

// page is a stock page worth showing.
type page struct{ File, Title, Text string }

// pages are the stock pages that work against a Janus of the default configuration.
func pages() []page {
	return []page{
		{"echotest.html", "Echo Test", "hear and see yourself through Janus"},
		{"videoroomtest.html", "Video Room", "a conference: open it several times"},
		{"mvideoroomtest.html", "Video Room, multistream", "the same over one connection for all streams"},
		{"videocalltest.html", "Video Call", "two register a name each, one calls the other"},
		{"p2pcalltest.html", "P2P Call", "the same from one browser to the other, without a Janus"},
		{"audiobridgetest.html", "Audio Bridge", "a mixed audio conference"},
		{"textroomtest.html", "Text Room", "chat over data channels"},
		{"streamingtest.html", "Streaming", "listen to the sample streams"},
		{"recordplaytest.html", "Record & Play", "record yourself, play it back"},
		{"screensharingtest.html", "Screen Sharing", "present to others (needs localhost or https)"},
		{"nosiptest.html", "NoSIP", "bring your own signalling"},
		{"e2etest.html", "End-to-end encryption", "insertable streams through the Echo Test"},
		{"multiopus.html", "Multichannel Opus", "surround sound through the Echo Test"},
		{"canvas.html", "Canvas", "a canvas as the video source"},
		{"webaudio.html", "Web Audio", "effects on the audio source"},
		{"devicetest.html", "Device selection", "choose camera and microphone"},
		{"voicemailtest.html", "Voice Mail", "leave a message (Janus up to 1.1.2)"},
	}
}

// New makes the handler. Pages that are not installed are not listed; Installed tells whether there are any.
func New(o Options) (http.Handler, error) {
	if o.Folder == "" {
		o.Folder = Folder
	}
	index, err := renderIndex(o)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", fixed("text/html; charset=utf-8", index))
	mux.HandleFunc("GET /settings.js", fixed("text/javascript; charset=utf-8", settings(o.Port, o.HTTP)))
	for file := range peerCallPage() {
		mux.HandleFunc("GET /"+file, func(w http.ResponseWriter, _ *http.Request) {
			text, err := peerCallFile(o.Folder, file)
			if err != nil {
				http.Error(w, "not installed", http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", mime.TypeByExtension(filepath.Ext(file)))
			_, _ = w.Write(text)
		})
	}
	mux.Handle("GET /", http.FileServer(http.Dir(o.Folder)))
	if o.Health != nil {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			mux.Handle("GET "+path, o.Health)
		}
	}
	return mux, nil
}

// Installed reports whether the stock pages are in the folder, and the library that they use.
func Installed(folder string) bool {
	for _, file := range []string{"echotest.html", "javascript/janus-gateway/janus.min.js"} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			return false
		}
	}
	return true
}

func renderIndex(o Options) ([]byte, error) {
	t, err := template.New("index").Parse(indexHTML)
	if err != nil {
		return nil, fmt.Errorf("index page: %w", err)
	}
	var installed []page
	for _, p := range pages() {
		file := p.File
		if stock, derived := peerCallPage()[file]; derived {
			file = stock
		}
		if _, err := os.Stat(filepath.Join(o.Folder, file)); err == nil {
			installed = append(installed, p)
		}
	}
	var b bytes.Buffer
	if err := t.Execute(&b, struct {
		Pages     []page
		Addresses map[string]string
		Health    bool
	}{installed, o.Addresses, o.Health != nil}); err != nil {
		return nil, fmt.Errorf("index page: %w", err)
	}
	return b.Bytes(), nil
}

// settings is the settings.js that all stock pages load: which server, which STUN servers, which secrets. A secret is not
// ours to hand to every browser; whoever needs one opens a page with ?apisecret=… once, and the tab remembers.
func settings(port int, http string) []byte {
	servers := `(location.protocol === "https:" ? "wss://" : "ws://") + location.hostname + ":` + strconv.Itoa(port) + `"`
	if http != "" {
		servers = "[" + servers + `, location.protocol + "//" + location.hostname + "` + http + `"]` // janus.js takes the first that works
	}
	return []byte(`// Generated by januscloud dev in place of the stock file.
var server = ` + servers + `;
var iceServers = [];
function remembered(name) {
	var given = new URLSearchParams(location.search).get(name);
	if(given !== null)
		sessionStorage.setItem(name, given);
	return sessionStorage.getItem(name) || "";
}
var token = remembered("token"), apisecret = remembered("apisecret");
`)
}

// peerCallPage are the files of the page for calls without a Janus, by the stock files that they are made of: janus.plugin.p2pcall
// has the requests and events of the video call.
func peerCallPage() map[string]string {
	return map[string]string{"p2pcalltest.html": "videocalltest.html", "p2pcalltest.js": "videocalltest.js"}
}

func peerCallFile(folder, file string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(folder, peerCallPage()[file]))
	names := strings.NewReplacer("videocalltest.js", "p2pcalltest.js", "janus.plugin.videocall", "janus.plugin.p2pcall")
	return []byte(names.Replace(string(text))), err
}

func fixed(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-store") // ports change from one start to the next
		_, _ = w.Write(body)
	}
}
