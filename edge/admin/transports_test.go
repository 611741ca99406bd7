// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// certificate makes a certificate that is its own authority, for loopback, as PEM files.
func certificate(t *testing.T) (certFile, keyFile string, known *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	known = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	known.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", private), known
}

const listSessions = `{"janus":"list_sessions","transaction":"t","admin_secret":"the-secret"}`

// Over TLS the same is answered, to those who speak it.
func TestTLS(t *testing.T) {
	cert, key, known := certificate(t)
	a, _ := start(t, func(o *Options) {
		o.HTTPS, o.WSS, o.CertFile, o.KeyFile = "127.0.0.1:0", "127.0.0.1:0", cert, key
	})
	at := a.Addresses()
	if len(at) != 4 || !strings.HasPrefix(at["https"], "https://127.0.0.1:") || !strings.HasPrefix(at["wss"], "wss://127.0.0.1:") {
		t.Fatalf("served at %v", at)
	}
	trust := &tls.Config{RootCAs: known, MinVersion: tls.VersionTLS12}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trust}, Timeout: 10 * time.Second}
	want := `{"janus":"success","transaction":"t","sessions":[]}`
	answer, err := client.Post(at["https"], "application/json", strings.NewReader(listSessions))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, _ := io.ReadAll(answer.Body); string(text) != want {
		t.Errorf("over https: %s", text)
	}
	c, _, _, err := ws.Dialer{Protocols: []string{subprotocol}, TLSConfig: trust}.Dial(t.Context(), at["wss"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := wsutil.WriteClientText(c, []byte(listSessions)); err != nil {
		t.Fatal(err)
	}
	if text, err := wsutil.ReadServerText(c); err != nil || string(text) != want {
		t.Errorf("over wss: %s, %v", text, err)
	}
	plain, err := client.Post(strings.Replace(at["https"], "https", "http", 1), "application/json", strings.NewReader(listSessions))
	if err == nil {
		_ = plain.Body.Close()
		if plain.StatusCode == http.StatusOK {
			t.Error("plain text was answered where TLS is spoken")
		}
	}
}

// Nothing is served half: what cannot be over TLS is not over anything else.
func TestBadTLS(t *testing.T) {
	cert, _, _ := certificate(t)
	o, _ := options(t)
	for name, change := range map[string]func(*Options){
		"no files": func(o *Options) { o.WSS = "127.0.0.1:0" },
		"no key":   func(o *Options) { o.HTTPS, o.CertFile = "127.0.0.1:0", cert },
		"no file":  func(o *Options) { o.HTTPS, o.CertFile, o.KeyFile = "127.0.0.1:0", cert, cert+".none" },
	} {
		bad := o
		change(&bad)
		a, err := Start(t.Context(), bad)
		if err == nil {
			t.Fatalf("%s: served at %v", name, a.Addresses())
		}
		if wrong := errors.Is(err, ErrOptions); wrong != (name != "no file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A page from elsewhere is refused where origins are enforced, over both transports, and the log tells of it.
func TestForeignOrigins(t *testing.T) {
	for _, x := range []struct {
		allowed, origin string
		enforce, in     bool
	}{
		{"", "https://elsewhere.org", true, true}, {"https://example.org", "https://example.org", true, true},
		{"https://example.org", "https://elsewhere.org", false, true}, {"https://example.org", "https://elsewhere.org", true, false},
		{"https://example.org", "", true, false}, {"https://example.org", "http://example.org", true, false},
	} {
		a, book := start(t, func(o *Options) { o.Origin, o.EnforceOrigin = x.allowed, x.enforce })
		at := a.Addresses()
		header := http.Header{}
		if x.origin != "" {
			header.Set("Origin", x.origin)
		}
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at["http"], strings.NewReader(listSessions))
		if err != nil {
			t.Fatal(err)
		}
		q.Header = header
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		c, _, _, err := ws.Dialer{Protocols: []string{subprotocol}, Header: ws.HandshakeHeaderHTTP(header)}.Dial(t.Context(), at["ws"])
		if err == nil {
			_ = c.Close()
		}
		if overHTTP, overWS := answer.StatusCode == http.StatusOK, err == nil; overHTTP != x.in || overWS != x.in {
			t.Errorf("%+v: HTTP %d, WebSocket %v", x, answer.StatusCode, err)
		}
		if !x.in && (answer.StatusCode != http.StatusForbidden || !strings.Contains(book.String(), `msg="refused: foreign origin"`)) {
			t.Errorf("%+v: HTTP %d, logged: %s", x, answer.StatusCode, book)
		}
		if with := answer.Header.Get("Access-Control-Allow-Credentials"); (with == "true") != (x.allowed != "") {
			t.Errorf("%+v: credentials %q", x, with)
		}
	}
}

// Transports are asked in the words of Janus, and count what they have.
func TestQueryTransport(t *testing.T) {
	a, _ := start(t, func(o *Options) {
		o.WS = ""
		o.Clients = func(each func(string, int, int)) { each("http", 3, 2); each("wss", 5, 0); each("ws", 7, 0) }
	})
	for _, x := range []struct{ transport, query, want string }{
		{"http", `,"request":{"request":"connections"}`, `{"result":200,"connections":{"http":3,"admin_http":0},"messages":2}`},
		{"websockets", `,"request":{"request":"connections"}`, `{"result":200,"connections":12}`},
		{"websockets", ``, `{"error_code":412,"error":"Missing mandatory element (request)"}`},
		{"http", `,"request":{"request":"X"}`, `{"error_code":411,"error":"Unknown request 'X'"}`},
		{"http", `,"request":{"request":"configure","json":5}`, `{"result":200,"error_code":413,"error":"Invalid element type (json should be a string)"}`},
		{"http", `,"request":{"request":"configure","events":true}`, `{"result":200,"notes":["Event handlers disabled at the core level"]}`},
	} {
		request := fmt.Sprintf(`{"janus":"query_transport","transaction":"t","admin_secret":"the-secret","transport":"janus.transport.%s"%s}`, x.transport, x.query)
		if got, want := string(a.run(t.Context(), []byte(request))), `{"janus":"success","transaction":"t","response":`+x.want+`}`; got != want {
			t.Errorf("%s\n got %s\nwant %s", request, got, want)
		}
	}
}
