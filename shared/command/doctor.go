package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/config"
)

// What a finding says of its subject.
const (
	well    = "ok"
	warning = "warning"
	fault   = "problem"
)

// finding is one thing that was looked at, and what to do about it.
type finding struct {
	Subject string `json:"subject"`
	Status  string `json:"status"`
	Says    string `json:"says"`
	Do      string `json:"do,omitempty"`
}

// examination is a run of doctor.
type examination struct {
	terminal
	found []finding
	g     *gateway
}

func (e *examination) find(subject, status, says, do string) {
	e.found = append(e.found, finding{subject, status, plain(says), do})
}

// doctor looks at everything that a gateway needs, and says of each thing that is not as it should be what to do.
func doctor(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	template := flags.String("template", "",
		"a deployment `file` (SAM, CloudFormation, Serverless Devs) whose variables must agree with the environment")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	e := &examination{terminal: t}
	c, ok := e.environment(o)
	if *template != "" {
		if err := e.template(*template); err != nil {
			return err
		}
	}
	if ok {
		if err := e.gateway(ctx, o, c); err != nil {
			return err
		}
	}
	if o.asJSON {
		if err := t.json(e.found); err != nil {
			return err
		}
	}
	problems := 0
	for _, f := range e.found {
		if f.Status == fault {
			problems++
		}
		if !o.asJSON {
			t.finding(f)
		}
	}
	if problems > 0 {
		return fmt.Errorf("%d problems", problems)
	}
	return nil
}

func (t terminal) finding(f finding) {
	colour := map[string]string{well: green, warning: yellow, fault: red}[f.Status]
	t.say("%s %s: %s", t.paint(colour, fmt.Sprintf("%-8s", f.Status)), f.Subject, f.Says)
	if f.Do != "" {
		t.say("         → %s", f.Do)
	}
}

// environment judges the variables, as a function and as keyless serve would.
func (e *examination) environment(o *options) (config.Config, bool) {
	defaults := config.Serve()
	if e.variable("REDIS_URL") != "" && o.url == "" {
		defaults.Required = []string{"REDIS_URL", "KEYLESS_MASTER_KEY"}
	}
	c, err := config.Load(e.lookup, defaults)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			says, do, _ := strings.Cut(line, ": ")
			e.find("environment", fault, says, do)
		}
		return c, false
	}
	switch {
	case o.url != "" && c.AdminToken == "":
		e.find("environment", fault, "KEYLESS_ADMIN_TOKEN is not set",
			"set it to the gateway's, or leave --url and KEYLESS_URL out to look at the store")
		return c, false
	case o.url == "" && c.RedisURL != "" && !c.PublicURLSet:
		e.find("environment", warning, "KEYLESS_PUBLIC_URL is not set", "set it to the scheme and host under which token and jwks are reached")
	default:
		e.find("environment", well, "complete", "")
	}
	return c, true
}

// gateway looks at a gateway and its store.
func (e *examination) gateway(ctx context.Context, o *options, c config.Config) error {
	g, err := e.terminal.gateway(o)
	if err != nil {
		e.find("gateway", fault, err.Error(), "start it, or name another: --url, REDIS_URL, KEYLESS_DATA")
		return nil
	}
	defer g.close()
	e.g = g
	var h health
	if _, err := g.do(ctx, ask{path: "/health"}, &h); err != nil {
		if codeOf(err) == "unauthorized" {
			e.find("gateway", fault, err.Error(), "set KEYLESS_ADMIN_TOKEN to the gateway's")
			return nil
		}
		e.find("gateway", fault, err.Error(), "look whether it runs, and whether the URL is the one of its admin API")
		return nil
	}
	if !e.store(ctx, h, c.RedisURL == "" && o.url == "") {
		return nil
	}
	e.clock(ctx, h)
	if !e.secrets(h) {
		return nil
	}
	if err := errors.Join(e.signingKeys(ctx), e.upstreams(ctx)); err != nil {
		return err
	}
	e.public(ctx, o)
	return nil
}

// health is what the admin API tells of the store and the registry.
type health struct {
	Store struct {
		Reachable bool
		Latency   int64 `json:"latency_us"`
		admin.ServerFacts
	}
	Registry struct {
		Revision string
		Empty    bool
		Opens    bool `json:"secrets_open"`
	}
	Time time.Time
}

// slow is a round trip at which every call is felt: it costs two.
const slow = 20 * time.Millisecond

// store judges the server. False: there is no use in looking further.
func (e *examination) store(ctx context.Context, h health, embedded bool) bool {
	if !h.Store.Reachable {
		e.find("store", fault, "Redis does not answer", "look at REDIS_URL, its credentials, the network and the server")
		return false
	}
	latency := time.Duration(h.Store.Latency) * time.Microsecond
	if e.g.process != nil { // the first call of a process connects
		latency = e.latency(ctx, latency)
	}
	if latency > slow {
		e.find("store", warning, fmt.Sprintf("answers in %s", latency), "a call costs two round trips: put the functions nearer to Redis")
	} else {
		e.find("store", well, fmt.Sprintf("answers in %s", latency), "")
	}
	if embedded {
		e.find("store", well, "the embedded one of keyless serve, which keeps itself in its folder", "")
		return true
	}
	facts := h.Store.ServerFacts
	if e.g.process != nil {
		told, err := admin.NewProbe(e.g.process.Redis).Probe(ctx)
		if err == nil {
			facts = told
		}
	}
	if facts.Note != "" {
		e.find("store", well, facts.Note, "")
		return true
	}
	e.server(facts)
	return true
}

// pings are enough to tell the network from a moment's load.
const pings = 5

// latency is the shortest of some round trips.
func (e *examination) latency(ctx context.Context, shortest time.Duration) time.Duration {
	for range pings {
		began := time.Now()
		if e.g.process.Redis.Ping(ctx).Err() == nil {
			shortest = min(shortest, time.Since(began).Round(time.Microsecond))
		}
	}
	return shortest
}

// The oldest server that has all that the scripts use.
const oldestMajor, oldestMinor = 6, 2

func (e *examination) server(facts admin.ServerFacts) {
	major, minor := 0, 0
	_, _ = fmt.Sscanf(facts.Version, "%d.%d", &major, &minor) // what is none stays 0
	switch {
	case facts.Version == "":
		e.find("version", warning, "the server does not tell its version", "make sure that it is Redis 6.2 or newer, Valkey or Tair")
	case major < oldestMajor || major == oldestMajor && minor < oldestMinor:
		e.find("version", fault, "Redis "+facts.Version, "use Redis 6.2 or newer, or Valkey")
	default:
		e.find("version", well, "Redis "+facts.Version, "")
	}
	switch facts.Eviction {
	case "noeviction":
		e.find("eviction", well, "noeviction", "")
	case "":
		e.find("eviction", warning, "the server does not tell its policy", "make sure that maxmemory-policy is noeviction")
	default:
		e.find("eviction", fault, facts.Eviction+": when memory is short the server throws away registry, counters and revocations",
			"set maxmemory-policy noeviction")
	}
	switch facts.Persistence {
	case "":
		e.find("persistence", warning, "the server does not tell", "make sure that it keeps its data over a restart")
	case "none":
		e.find("persistence", fault, "a restart loses everything", "turn on appendonly (best), or snapshots")
	default:
		e.find("persistence", well, facts.Persistence, "")
	}
}

// maxClock is how far clocks may be apart: signatures and tokens are taken 30 s late, and windows end on time.
const maxClock = 5 * time.Second

// clock compares our clock with that of the store, or of the gateway.
func (e *examination) clock(ctx context.Context, h health) {
	there := h.Time
	if e.g.process != nil {
		before := time.Now()
		at, err := e.g.process.Redis.Time(ctx).Result()
		if err != nil {
			e.find("clock", warning, "the store does not tell the time", "compare its clock with ours")
			return
		}
		there = at.Add(time.Since(before) / 2)
	}
	apart := time.Since(there).Abs().Round(time.Millisecond)
	if apart > maxClock {
		e.find("clock", fault, fmt.Sprintf("ours and theirs are %s apart", apart), "let both follow NTP")
		return
	}
	e.find("clock", well, fmt.Sprintf("%s apart", apart), "")
}

// secrets judges whether what is stored opens. False: there is nothing more to look at.
func (e *examination) secrets(h health) bool {
	switch {
	case h.Registry.Empty:
		e.find("registry", warning, "nothing is configured yet", "keyless apply -f gateway.yaml")
		return false
	case !h.Registry.Opens:
		e.find("registry", fault, "what is stored does not open",
			"KEYLESS_MASTER_KEY lacks the key under which it was sealed, or a newer version wrote it")
		return false
	}
	e.find("registry", well, "revision "+h.Registry.Revision+", its secrets open", "")
	return true
}
