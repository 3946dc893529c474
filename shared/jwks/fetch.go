package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyless/shared/oauth"
)

const (
	// fetchWithin bounds a fetch from the name's lookup to the last byte. Verifiers of the field began with
	// 1.5 s, which was too short for issuers that start cold, and raised it to this.
	fetchWithin = 3 * time.Second
	// maxHeaderBytes bounds the answer's header; issuers send a few hundred bytes.
	maxHeaderBytes = 64 << 10
)

// fetcher gets key sets by HTTP. It follows no redirect, takes no proxy from the environment, keeps no
// connection, and dials only where its guard lets it.
type fetcher struct {
	secure, plain *http.Client // by scheme: plain http goes to addresses of one's own only
	private       bool         // plain http is allowed at all
	within        time.Duration
}

func newFetcher(o Options) *fetcher {
	g := guard{private: o.AllowPrivate, loopback: o.AllowLoopback}
	return &fetcher{
		secure:  newClient(g, o),
		plain:   newClient(guard{private: g.private, loopback: g.loopback, ownOnly: true}, o),
		private: o.AllowPrivate || o.AllowLoopback,
		within:  fetchWithin,
	}
}

func newClient(g guard, o Options) *http.Client {
	dialer := &net.Dialer{Timeout: fetchWithin, Control: g.control}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // what a proxy resolves escapes the guard
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			DisableKeepAlives:      true, // a frozen process keeps no connection, a fetch is rare
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get fetches the text at a URL. Its errors are for the log.
func (f *fetcher) get(ctx context.Context, address string, anew bool) (Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, f.within)
	defer cancel()
	request, client, err := f.request(ctx, address)
	if err != nil {
		return Stored{}, err
	}
	if anew {
		request.Header.Set("Cache-Control", "no-cache")
	}
	response, err := client.Do(request)
	if err != nil {
		return Stored{}, fmt.Errorf("not reached: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return Stored{}, fmt.Errorf("answered with status %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, oauth.MaxKeySetBytes+1))
	if err != nil {
		return Stored{}, fmt.Errorf("not read to its end: %w", err)
	}
	if len(text) > oauth.MaxKeySetBytes {
		return Stored{}, errors.New("longer than 256 KiB")
	}
	return Stored{Text: text, MaxAge: freshFor(response.Header.Values("Cache-Control"))}, nil
}

func (f *fetcher) request(ctx context.Context, address string) (*http.Request, *http.Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, errors.New("not a URL")
	}
	if u.Host == "" || u.Hostname() == "" || u.Opaque != "" || u.User != nil {
		return nil, nil, errors.New("not a URL of scheme, host and path")
	}
	client := f.secure
	switch {
	case u.Scheme == "http" && f.private:
		client = f.plain
	case u.Scheme != "https":
		return nil, nil, errors.New("not https")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, errors.New("not a URL to request")
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "keyless")
	return request, client, nil
}

// withoutURL takes off the URL that the client puts before its errors: it may carry a secret in its query.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// printable is a URL as it may be logged: no userinfo, no query.
func printable(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(malformed)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// freshFor reads max-age (RFC 9111 §5.2.2.1), clamped. An answer that must not be stored is kept for the
// shortest time: without that, each token would be a fetch.
func freshFor(headers []string) time.Duration {
	age := defaultAge
	for directive := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(age, minAge), maxAge)
}
