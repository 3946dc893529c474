package command

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"keyless/shared/config"
)

// listen opens a listener, with TLS where certificate and key are configured.
func listen(c config.Config, addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: stop what listens there, or set KEYLESS_ADDR (HOST:PORT; port 0 finds a free one)", err)
	}
	if c.TLSCert == "" {
		return listener, nil
	}
	files := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey}
	if _, err := files.get(nil); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("KEYLESS_TLS_CERT and KEYLESS_TLS_KEY: %w", err)
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: files.get, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert, // for clients that authenticate by it; whose it is the token endpoint judges
	}), nil
}

// certificate reads its files again when they change: whoever renews certificates need not restart us.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex // guards the two below; held while small local files are read
	loaded  *tls.Certificate
	changed time.Time
}

// get returns the certificate of the files as they are now; one that cannot be read leaves the last good one in place.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.newest()
	if err == nil && changed.Equal(c.changed) {
		return c.loaded, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	switch {
	case err == nil:
		c.loaded, c.changed = &pair, changed
	case c.loaded == nil:
		return nil, err
	}
	return c.loaded, nil
}

func (c *certificate) newest() (time.Time, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return time.Time{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return time.Time{}, err
	}
	if key.ModTime().After(cert.ModTime()) {
		return key.ModTime(), nil
	}
	return cert.ModTime(), nil
}
