// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
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

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/scripts/lab"
)

// writeCertificate makes a certificate for loopback, of its own authority.
func writeCertificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edge"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	keyDER := must[[]byte](t)(x509.MarshalECPrivateKey(key))
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	roots = x509.NewCertPool()
	roots.AddCert(must[*x509.Certificate](t)(x509.ParseCertificate(der)))
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER), roots
}

// TestBothTransports is an edge that serves plain and encrypted WebSockets side by side, and what it beats.
func TestBothTransports(t *testing.T) {
	certFile, keyFile, roots := writeCertificate(t)
	e := startEdge(t, startNATS(t), func(o *Options) {
		o.WSS, o.CertFile, o.KeyFile = "127.0.0.1:0", certFile, keyFile
	})
	for scheme, address := range e.Addresses() {
		dialer := ws.Dialer{Protocols: []string{subprotocol}, TLSConfig: &tls.Config{RootCAs: roots}}
		c, _, _, err := dialer.Dial(testContext(t), address)
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		t.Cleanup(func() { c.Close() })
		if err := wsutil.WriteClientText(c, []byte(`{"janus":"ping","transaction":"t"}`)); err != nil {
			t.Fatal(err)
		}
		answer := must[[]byte](t)(wsutil.ReadServerText(c))
		expect(t, "answer over "+scheme, string(answer), `{"janus":"pong","transaction":"t"}`)
	}
	lab.WaitFor(t, patience, func() string {
		p, ok := e.opts.Roster.View().Find(messages.RoleEdge, "e1")
		if !ok || p.Beat.Edge.Connections != 2 {
			return "two connections not heard of"
		}
		return unless(p.Beat.Edge.WS == e.Addresses()["ws"], "another address: "+p.Beat.Edge.WS)
	})
}

// TestCrossOrigin are the headers that tell browsers who may use the edge, and who is hung up on.
func TestCrossOrigin(t *testing.T) {
	asked := http.Header{"Origin": {"https://example.org:8443"}, "Access-Control-Request-Headers": {"x-one"}}
	for name, x := range map[string]struct {
		options Options
		origin  string // empty: none
		want    string
		refused bool
	}{
		"everybody":     {want: "*", origin: "https://example.org"},
		"one":           {options: Options{Origin: "https://example.org"}, want: "https://example.org", origin: "https://elsewhere.org"},
		"only one":      {options: Options{Origin: "https://example.org", EnforceOrigin: true}, want: "https://example.org", origin: "https://example.org:8443"},
		"only another":  {options: Options{Origin: "https://example.org", EnforceOrigin: true}, origin: "https://elsewhere.org", refused: true},
		"only a stated": {options: Options{Origin: "https://example.org", EnforceOrigin: true}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			header := asked.Clone()
			header.Set("Origin", x.origin)
			h, ok := newEdge(x.options).cors.Upgrade(header)
			expect(t, "allowed", ok, !x.refused)
			if !x.refused {
				expect(t, "origin", h.Get("Access-Control-Allow-Origin"), x.want)
			}
		})
	}
	// The header gets to the client, and the client's to us.
	e := startEdge(t, startNATS(t), func(o *Options) { o.Origin, o.EnforceOrigin = "https://example.org", true })
	c := must[net.Conn](t)(new(net.Dialer).DialContext(testContext(t), "tcp", strings.TrimPrefix(e.Addresses()["ws"], "ws://")))
	defer c.Close()
	request := "GET / HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: janus-protocol\r\nOrigin: https://example.org\r\n\r\n"
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	response := must[*http.Response](t)(http.ReadResponse(bufio.NewReader(c), nil))
	expect(t, "status", response.StatusCode, http.StatusSwitchingProtocols)
	expect(t, "header", response.Header.Get("Access-Control-Allow-Origin"), "https://example.org")
	if _, err := lab.Dial(context.Background(), e.Addresses()["ws"]); err == nil {
		t.Error("a client without an origin was let in")
	}
}

// TestVerbsAreCounted holds the size of the table of counters to the verbs there are.
func TestVerbsAreCounted(t *testing.T) {
	for v := range verbs {
		if v > 0 && janusjson.Verb(v).String() == "unknown" {
			t.Errorf("verb %d has no name", v)
		}
	}
	expect(t, "the verb behind the last", janusjson.Verb(verbs).String(), "unknown")
}
