package command

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"keyless/shared/config"
	"keyless/shared/keyring"
	"keyless/shared/registry"
)

// signingKeys judges whether every instance signs, and whether another key should.
func (e *examination) signingKeys(ctx context.Context) error {
	k, _ := kindOf("instance")
	return e.g.each(ctx, k.list, nil, func(item json.RawMessage) error {
		var in registry.Instance
		if err := json.Unmarshal(item, &in); err != nil {
			return fmt.Errorf("read an instance: %w", err)
		}
		subject := "signing keys of " + in.ID
		keys, err := e.g.keysOf(ctx, in.ID)
		if err != nil {
			e.find(subject, fault, err.Error(), "KEYLESS_SIGNING_MASTER_KEY must be the one under which they were sealed")
			return nil
		}
		at := slices.IndexFunc(keys, func(key listed) bool { return key.State == keyring.Active })
		switch {
		case at < 0:
			e.find(subject, fault, "none signs", "keyless keys rotate --instance "+in.ID)
		case time.Since(keys[at].Since) > in.Rotation():
			e.find(subject, warning, "the active one signs since "+keys[at].Since.Format(time.RFC3339)+", longer than the instance says",
				"keyless keys rotate, and have it run once a day")
		case keys[at].Algorithm != in.Algorithm():
			e.find(subject, warning, "the active one is "+keys[at].Algorithm+", the instance says "+in.Algorithm(),
				"keyless keys rotate --instance "+in.ID)
		default:
			e.find(subject, well, fmt.Sprintf("%d published, %s signs", len(keys), keys[at].ID), "")
		}
		return nil
	})
}

const (
	// dialWithin bounds reaching one host: a person waits.
	dialWithin = 5 * time.Second
	// dialsAtOnce bounds the hosts that are reached at the same time.
	dialsAtOnce = 8
)

// upstreams reaches each upstream from here, by TCP and where it speaks it by TLS. No request is sent.
func (e *examination) upstreams(ctx context.Context) error {
	var list []registry.Upstream
	k, _ := kindOf("upstream")
	err := e.g.each(ctx, k.list, nil, func(item json.RawMessage) error {
		var u registry.Upstream
		list = append(list, u)
		return json.Unmarshal(item, &list[len(list)-1])
	})
	if err != nil {
		return err
	}
	failures := make([]error, len(list))
	var all sync.WaitGroup
	turn := make(chan struct{}, dialsAtOnce)
	for i, u := range list {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			failures[i] = dial(ctx, u.BaseURL)
		})
	}
	all.Wait()
	for i, u := range list {
		subject := "upstream " + u.Name
		if failures[i] != nil {
			e.find(subject, fault, "not reached from here: "+failures[i].Error(),
				"look at its base_url, at DNS, and whether the network lets us out; a function in a VPC needs a NAT")
			continue
		}
		e.find(subject, well, "reached", "")
	}
	return nil
}

// dial reaches the host of a URL and lets go of it.
func dial(ctx context.Context, base string) error {
	u, err := url.Parse(base)
	if err != nil {
		return fmt.Errorf("its base_url is no URL")
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	address := net.JoinHostPort(u.Hostname(), port)
	var conn net.Conn
	if u.Scheme == "https" {
		dialer := tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}
		conn, err = dialer.DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// public asks the gateway under its public URL whether it lives.
func (e *examination) public(ctx context.Context, o *options) {
	base := e.g.url
	if o.url == "" {
		if set, _ := e.g.lookup("KEYLESS_PUBLIC_URL"); set == "" {
			return // environment said so
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/_/healthz", http.NoBody)
	if err != nil {
		e.find("public URL", fault, err.Error(), "set KEYLESS_PUBLIC_URL")
		return
	}
	answer, err := direct().Do(r)
	if err != nil {
		e.find("public URL", fault, err.Error(), "look at DNS, certificate and routes of "+base)
		return
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		e.find("public URL", fault, fmt.Sprintf("%s/_/healthz answers %d", base, answer.StatusCode),
			"route all paths of the host to the functions")
		return
	}
	e.find("public URL", well, base+" answers", "")
}

// inTemplate is a variable of ours in a deployment file, and what it is set to there.
var inTemplate = regexp.MustCompile(`(?m)^[ \t]*-?[ \t]*["']?(REDIS_URL|KEYLESS_[A-Z0-9_]+)["']?[ \t]*:[ \t]*(.*?)[ \t]*$`)

// alwaysNeeded are the variables without which a deployment does not work.
var alwaysNeeded = []string{"REDIS_URL", "KEYLESS_MASTER_KEY", "KEYLESS_PUBLIC_URL"}

// template compares the variables of a deployment file with those that this version knows, and with the environment. Values that are
// filled in elsewhere, such as !Ref and ${…}, are not compared; none is told.
func (e *examination) template(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	var known []string
	for _, v := range config.Variables() {
		known = append(known, v.Name)
	}
	set, before := map[string]bool{}, len(e.found)
	for _, m := range inTemplate.FindAllSubmatch(text, -1) {
		variable, value := string(m[1]), strings.Trim(string(m[2]), `"'`)
		here, isHere := e.lookup(variable)
		switch {
		case !slices.Contains(known, variable):
			e.find("template", fault, "it sets "+variable+", which this version does not know", "correct the name, or take it out")
		case isHere && here != "" && value != "" && !strings.ContainsAny(value, "!$#{") && value != here:
			e.find("template", fault, variable+" is another there than in this environment", "make both the same")
		}
		set[variable] = true
	}
	for _, variable := range alwaysNeeded {
		if !set[variable] {
			e.find("template", fault, "it does not set "+variable, "set it for every function")
		}
	}
	for _, variable := range known {
		if here := e.variable(variable); here != "" && !set[variable] && !slices.Contains(alwaysNeeded, variable) &&
			!slices.Contains([]string{"KEYLESS_ADMIN_TOKEN", "KEYLESS_DATA", "KEYLESS_ADDR", "KEYLESS_CONFIG", "KEYLESS_LOG"}, variable) {
			e.find("template", warning, variable+" is set here and not there", "set it there too, if the functions need it")
		}
	}
	if len(e.found) == before {
		e.find("template", well, fmt.Sprintf("its %d variables are known and agree", len(set)), "")
	}
	return nil
}
