package console

import (
	"encoding/json"
	"errors"
)

// overviewPage is the first page.
type overviewPage struct {
	Counts    []count
	Health    health
	Expiring  []object
	Open      []object // APIs that answer to nobody, or to everybody
	Empty     bool
	Recipe    bool // the visitor may follow the recipe
	PublicURL string
}

type count struct {
	Title, Href string
	Count       int
}

type health struct {
	Status   string `json:"status"`
	Registry struct {
		Revision string `json:"revision"`
	} `json:"registry"`
	Failure  string `json:"store_failure"`
	Problems []struct {
		Text string `json:"text"`
	} `json:"problems"`
}

// counted are what the overview counts, by the names of the inventory.
var counted = []struct{ name, title, to string }{
	{"instances", "Instances", "instances"}, {"clients", "M2M clients", "instances"}, {"apis", "APIs", "apis"},
	{"consumers", "Consumers", "consumers"}, {"upstreams", "Upstreams", "upstreams"}, {"domains", "Domains", "domains"},
}

func overview(v *visit, _ []string) (answer, error) {
	shown := overviewPage{Recipe: v.may("identity.write", "") && v.may("gateway.write", ""), PublicURL: v.c.o.PublicURL}
	got, err := v.api("GET", "/health", nil)
	if err != nil {
		return answer{}, err
	}
	if err := json.Unmarshal(got.body.Bytes(), &shown.Health); err != nil {
		return answer{}, err
	}
	if v.may("gateway.read", "") {
		err = v.inventory(&shown)
	} else {
		err = v.instancesAlone(&shown)
	}
	var p *problem
	if errors.As(err, &p) && p.Status != 401 {
		return answer{page: "overview", title: "Overview", data: shown}, nil // what it could tell is missing, and the page stands
	}
	return answer{page: "overview", title: "Overview", data: shown}, err
}

func (v *visit) inventory(shown *overviewPage) error {
	var all struct {
		Counts   map[string]int `json:"counts"`
		APIs     []object       `json:"apis"`
		Expiring []object       `json:"expiring"`
	}
	if _, err := v.get("/inventory", &all); err != nil {
		return err
	}
	shown.Expiring, shown.Empty = all.Expiring, true
	for _, c := range counted {
		n, told := all.Counts[c.name]
		if !told {
			continue
		}
		shown.Counts = append(shown.Counts, count{c.title, href(c.to), n})
		shown.Empty = shown.Empty && (n == 0 || c.name == "domains")
	}
	for _, api := range all.APIs {
		if api.text("authorized") == "0" || len(api.strings("authentication")) == 0 {
			shown.Open = append(shown.Open, api)
		}
	}
	return nil
}

func (v *visit) instancesAlone(shown *overviewPage) error {
	names, err := v.names("/instances", "id")
	shown.Counts = []count{{"Instances", href("instances"), len(names)}}
	return err
}
