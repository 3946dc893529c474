package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"keyless/shared/config"
	"keyless/shared/registry/embedded"
	"keyless/shared/seal"
)

// The files of a data folder, beside the embedded store's own.
const (
	masterKeyFile = "master.key"
	serveFile     = "serve.json"
)

// running is what a serving process leaves in its data folder, so that the command line finds it. The file is 0600: the URL of the
// embedded store holds its password.
type running struct {
	RedisURL  string `json:"redis_url"`
	PublicURL string `json:"public_url"`
	Cell      string `json:"cell"`
	PID       int    `json:"pid"`
}

// embed starts the embedded store where no REDIS_URL is given, and completes the configuration with it. The clock of the store stops
// with ctx; closed is called after the last request.
func embed(ctx context.Context, c config.Config) (config.Config, func() error, error) {
	if c.RedisURL != "" {
		return c, func() error { return nil }, nil
	}
	if c.MasterKey == "" {
		key, err := masterKey(c.Data)
		if err != nil {
			return c, nil, err
		}
		c.MasterKey = config.Secret(key)
	}
	if c.SigningMasterKey == "" {
		c.SigningMasterKey = c.MasterKey
	}
	store, err := embedded.Start(embedded.Options{Folder: c.Data, Now: time.Now})
	if err != nil {
		return c, nil, err
	}
	go store.Run(ctx)
	c.RedisURL = config.Secret(store.URL())
	return c, store.Close, nil
}

// masterKey reads the folder's master key, or makes it. In memory, it lives as long as the process.
func masterKey(folder string) (string, error) {
	if folder == "" {
		return seal.NewMasterKey(), nil
	}
	path := filepath.Join(folder, masterKeyFile)
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the master key: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	key := seal.NewMasterKey()
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the master key: %w", err)
	}
	return key, nil
}

// announce leaves running in the data folder and returns what removes it again. One that serves on a store elsewhere leaves the file
// of another process that lives alone; the embedded store is the folder's own, so that its process is the one to find.
func announce(c config.Config, embedded bool) (func(), error) {
	if c.Data == "" {
		return func() {}, nil
	}
	path := filepath.Join(c.Data, serveFile)
	if !embedded && another(path) {
		return func() {}, nil
	}
	text, err := json.Marshal(running{c.RedisURL.Reveal(), c.PublicURL, c.Cell, os.Getpid()})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return func() {
		if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, text) {
			_ = os.Remove(path)
		}
	}, nil
}

// another reports whether the file at path is that of another process that still serves: there is such a process, and its store
// answers, for numbers of processes come again.
func another(path string) bool {
	text, err := os.ReadFile(path)
	var r running
	if err != nil || json.Unmarshal(text, &r) != nil || r.PID <= 0 || r.PID == os.Getpid() {
		return false
	}
	process, err := os.FindProcess(r.PID)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0)) // sends nothing; judges only
	return (err == nil || errors.Is(err, os.ErrPermission)) && r.answers()
}

// answers reports whether the store takes connections. Where the URL does not tell a host, it does.
func (r running) answers() bool {
	store, err := url.Parse(r.RedisURL)
	if err != nil {
		return true
	}
	conn, err := net.DialTimeout("tcp", store.Host, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// reach completes the configuration of a command that works on a registry: REDIS_URL as given, else the store of a process that serves
// from the same data folder.
func reach(c config.Config) (config.Config, error) {
	if c.RedisURL != "" {
		return c, nil
	}
	text, err := os.ReadFile(filepath.Join(c.Data, serveFile))
	if err != nil {
		return c, fmt.Errorf("no keyless serve runs on the folder %s: start it, go to its folder or name that in KEYLESS_DATA, "+
			"or set REDIS_URL and KEYLESS_MASTER_KEY", c.Data)
	}
	var r running
	if err := json.Unmarshal(text, &r); err != nil {
		return c, fmt.Errorf("read %s: %w", serveFile, err)
	}
	if c.MasterKey == "" {
		key, err := masterKey(c.Data)
		if err != nil {
			return c, err
		}
		c.MasterKey = config.Secret(key)
	}
	if c.SigningMasterKey == "" {
		c.SigningMasterKey = c.MasterKey
	}
	c.RedisURL, c.Cell = config.Secret(r.RedisURL), r.Cell
	if !c.PublicURLSet {
		c.PublicURL = r.PublicURL
	}
	if !r.answers() {
		return c, fmt.Errorf("keyless serve no longer runs on the folder %s, which it did not leave tidy: start it again", c.Data)
	}
	return c, nil
}
