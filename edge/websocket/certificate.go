// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a TLS key pair in two PEM files, read again when they change,
// so that a renewed certificate needs no restart. A pair that cannot be read,
// because only one file is replaced so far, say, leaves the last good one in
// use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu       sync.Mutex // held while the files are read, on a change only
	current  *tls.Certificate
	loaded   [2]fileStamp // of current
	reported [2]fileStamp // of what the log last spoke of
}

// fileStamp tells one content of a file from the next without reading it.
type fileStamp struct {
	changed time.Time
	size    int64
}

// LoadCertificate reads the pair for the first time; log gets a line for each
// renewal and each failure of one (nil: slog.Default).
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	if log == nil {
		log = slog.Default()
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamps, err := c.stamps()
	if err == nil {
		err = c.load(stamps)
	}
	if err != nil {
		return nil, fmt.Errorf("websocket: certificate: %w", err)
	}
	return c, nil
}

// Config is a server configuration with this certificate, TLS 1.2 or later.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.Get}
}

// Get implements tls.Config.GetCertificate. It looks at the two files' times and
// sizes once per TLS handshake, which costs a hundredth of it.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	stamps, err := c.stamps()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && stamps != c.loaded {
		if err = c.load(stamps); err == nil {
			c.log.Info("certificate renewed", "file", c.certFile)
		}
	}
	if err != nil && stamps != c.reported {
		c.reported = stamps
		c.log.Warn("certificate not renewed, the last one stays in use", "file", c.certFile, "error", err)
	}
	return c.current, nil
}

func (c *Certificate) load(stamps [2]fileStamp) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current, c.loaded, c.reported = &pair, stamps, stamps
	return nil
}

func (c *Certificate) stamps() (s [2]fileStamp, err error) {
	for i, name := range [...]string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}
