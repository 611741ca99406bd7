// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writePair puts a fresh self-signed certificate for name into two files.
func writePair(t testing.TB, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, "first")
	c, err := LoadCertificate(cert, key, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return c.Config()
}

func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := LoadCertificate(cert, key, quiet()); err == nil {
		t.Fatal("files that do not exist were loaded")
	}
	writePair(t, cert, key, "first")
	c, err := LoadCertificate(cert, key, quiet())
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		pair, err := c.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	age := func(file string, by time.Duration) {
		at := time.Now().Add(by)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if got := served(); got != "first" {
		t.Fatalf("serves %q", got)
	}
	// Half of a renewal: the new certificate with the old key.
	other := filepath.Join(dir, "other.pem")
	writePair(t, cert, other, "second")
	age(cert, time.Minute)
	if got := served(); got != "first" {
		t.Errorf("with half a renewal serves %q", got)
	}
	if err := os.Rename(other, key); err != nil {
		t.Fatal(err)
	}
	age(key, time.Minute)
	if got := served(); got != "second" {
		t.Errorf("after the renewal serves %q", got)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if got := served(); got != "second" {
		t.Errorf("with its file gone serves %q", got)
	}
}
