package discovery

import (
	"slices"
	"strings"

	"keyless/shared/registry"
)

// resources lists what a client may write into resource (RFC 8707 §2) beside identifiers: the URLs of the
// APIs that are bound to a resource server of the instance, on each host that has a name of its own. None while
// the instance issues no tokens, or none for that resource server. Sorted.
func (d *documents) resources(snapshot *registry.Snapshot, name string) []string {
	var urls []string
	in := snapshot.Instances[name]
	if !in.M2M.On() {
		return nil
	}
	scheme, publicHost, _ := strings.Cut(d.PublicURL, "://")
	for _, api := range snapshot.APIs {
		server := in.ResourceServer(api.ResourceServer)
		if api.ResourceServer == "" || server == nil || !server.Status.On() {
			continue
		}
		path := strings.TrimSuffix(api.BasePath, "/")
		if path == "" {
			path = "/" // RFC 3986 §6.2.3: an origin is written with it
		}
		hosts := []string{publicHost}
		if len(api.Domains) > 0 {
			hosts = nil
		}
		for _, domain := range api.Domains {
			switch {
			case domain == registry.DefaultDomain:
				hosts = append(hosts, publicHost)
			case !strings.HasPrefix(domain, "*"):
				hosts = append(hosts, domain)
			}
		}
		for _, host := range hosts {
			url := scheme + "://" + host + path
			if snapshot.APIOf(d.PublicURL, url) == api { // a draft or shadowed one is at no URL
				urls = append(urls, url)
			}
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}
