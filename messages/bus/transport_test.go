// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
)

// certificate makes one for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// The client's other ways to a server work through the bus's connections too: TLS after the
// greeting and before it, WebSocket, and a user name.
func TestTransports(t *testing.T) {
	cert, pool := certificate(t)
	secure := nats.Secure(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	for name, c := range map[string]struct {
		scheme  string
		serve   func(o *server.Options)
		options []nats.Option
	}{
		"tls": {"tls://", func(o *server.Options) {
			o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		}, []nats.Option{secure}},
		"tls first": {"tls://", func(o *server.Options) {
			o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
			o.TLSHandshakeFirst = true
		}, []nats.Option{secure, nats.TLSHandshakeFirst()}},
		"websocket": {"ws://", func(o *server.Options) {
			o.Websocket = server.WebsocketOpts{Host: "127.0.0.1", Port: -1, NoTLS: true}
		}, nil},
		"user": {"nats://", func(o *server.Options) {
			o.Username, o.Password = "janus", "secret"
		}, []nats.Option{nats.UserInfo("janus", "secret")}},
	} {
		t.Run(name, func(t *testing.T) {
			url := c.scheme + serve(t, c.serve)
			b := bustest.Connect(t, bus.Options{URLs: []string{url}, NATS: c.options, DirectOff: true})
			bustest.Own(t, b, "janus.session.17", 0, func(m *bus.Msg) { _ = b.Publish(m.Reply, "", m.Data) })
			big := make([]byte, 1<<20)
			for range 3 {
				m, err := b.Request(t.Context(), "janus.session.17.5", big)
				if err != nil || len(m.Data) != len(big) {
					t.Fatalf("request: %v", err)
				}
			}
		})
	}
}

// serve runs a server until the test ends, and answers the address for clients.
func serve(t *testing.T, tune func(o *server.Options)) string {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}
	tune(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(bustest.Wait) {
		t.Fatal("the server is not ready")
	}
	if o.Websocket.Port != 0 {
		u := s.WebsocketURL()
		return u[len("ws://"):]
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Addr().(*net.TCPAddr).Port))
}
