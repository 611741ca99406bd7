// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stock makes a folder as Debian has it: the libraries are behind a link out of the folder.
func stock(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	folder := filepath.Join(root, "janus", "demos")
	for file, content := range map[string]string{
		"janus/demos/echotest.html":               "<title>stock echo test</title>",
		"janus/demos/index.html":                  "stock index",
		"janus/demos/settings.js":                 "stock settings",
		"janus/demos/css/demo.css":                "stock style",
		"javascript/janus-gateway/janus.min.js":   "stock library",
		"secret.txt":                              "not for anybody",
		"janus/demos/videoroomtest.html":          "<title>stock room</title>",
		"janus/demos/videocalltest.html":          `<script src="videocalltest.js"></script>`,
		"janus/demos/videocalltest.js":            `plugin: "janus.plugin.videocall"`,
		"janus/demos/javascript-is-a-link-really": "",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../javascript", filepath.Join(folder, "javascript")); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestHandler(t *testing.T) {
	folder := stock(t)
	if !Installed(folder) {
		t.Fatal("the pages are there and not found")
	}
	health := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("health " + r.URL.Path)) })
	h, err := New(Options{
		Folder: folder, Port: 8188, HTTP: ":8088/janus", Health: health,
		Addresses: map[string]string{"Janus API": "ws://h:8188", "odd": "<script>"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path string
		status       int
		contains     string
		lacks        string
	}{
		{"GET", "/", 200, `<a href="echotest.html">Echo Test</a>`, "siptest"},
		{"GET", "/", 200, "ws://h:8188", "<script>"},
		{"GET", "/", 200, `href="metrics"`, "not installed"},
		{"GET", "/index.html", 301, "", "stock index"},
		{"GET", "/echotest.html", 200, "stock echo test", ""},
		{"GET", "/css/demo.css", 200, "stock style", ""},
		{"GET", "/javascript/janus-gateway/janus.min.js", 200, "stock library", ""},
		{"GET", "/settings.js", 200, `location.hostname + ":8188"`, "stock settings"},
		{"GET", "/settings.js", 200, `location.protocol + "//" + location.hostname + ":8088/janus"];`, ""},
		{"GET", "/settings.js", 200, "var iceServers = [];", ""},
		{"GET", "/settings.js", 200, `var token = remembered("token"), apisecret = remembered("apisecret");`, ""},
		{"GET", "/", 200, `<a href="p2pcalltest.html">`, ""},
		{"GET", "/p2pcalltest.html", 200, `<script src="p2pcalltest.js">`, "videocall"},
		{"GET", "/p2pcalltest.js", 200, `"janus.plugin.p2pcall"`, "videocall"},
		{"GET", "/videocalltest.js", 200, `"janus.plugin.videocall"`, ""},
		{"GET", "/metrics", 200, "health /metrics", ""},
		{"GET", "/readyz", 200, "health /readyz", ""},
		{"GET", "/nothing", 404, "", ""},
		{"GET", "/../../secret.txt", 404, "", "not for anybody"},
		{"POST", "/", 405, "", ""},
		{"HEAD", "/settings.js", 200, "", ""},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(tt.method, "/", nil)
		r.URL.Path = tt.path
		h.ServeHTTP(w, r)
		if redirected := w.Code == 301 || w.Code == 307; tt.status == 404 && redirected {
			continue // the path is cleaned first
		}
		body := w.Body.String()
		if w.Code != tt.status || !strings.Contains(body, tt.contains) || tt.lacks != "" && strings.Contains(body, tt.lacks) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, body)
		}
	}
}

func TestWithoutPages(t *testing.T) {
	folder := t.TempDir()
	if Installed(folder) {
		t.Error("found pages where there are none")
	}
	h, err := New(Options{Folder: folder, Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if body := w.Body.String(); !strings.Contains(body, "apt install janus-demos") || strings.Contains(body, "metrics") {
		t.Errorf("%s", body)
	}
}
