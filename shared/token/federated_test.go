package token_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"keyless/shared/registry"
)

const documents = "urn:cloud:idaas:params:oauth:client-assertion-type:pkcs7-bearer"

// workload is an identity token in its issuer's documented shape (made by us), and the trust in it.
type workload struct {
	pair, alg  string
	claims     object
	credential registry.FederatedCredential
}

func workloads() map[string]workload {
	const aud = "keyless"
	times := func(life int64, claims object) object {
		claims["iat"], claims["exp"] = now.Unix()-10, now.Unix()-10+life
		return claims
	}
	trust := func(issuer, subject string, claims map[string]string) registry.FederatedCredential {
		return registry.FederatedCredential{Name: "c", Issuer: issuer, Audience: aud, Subject: subject, Claims: claims}
	}
	return map[string]workload{
		// Kubernetes: projected service account token, TokenRequest API v1.
		"kubernetes": {"RSA", "RS256", times(3607, object{
			"aud": []string{aud}, "iss": "https://oidc.cluster.example/id/ABC", "jti": "5b3d", "nbf": now.Unix() - 10,
			"sub": "system:serviceaccount:reports:nightly",
			"kubernetes.io": object{
				"namespace": "reports", "node": object{"name": "n1", "uid": "u0"}, "pod": object{"name": "p-0", "uid": "u1"},
				"serviceaccount": object{"name": "nightly", "uid": "u2"},
			},
		}), trust("https://oidc.cluster.example/id/ABC", "system:serviceaccount:reports:nightly",
			map[string]string{"/kubernetes.io/serviceaccount/uid": "u2"})},
		// GitHub Actions: https://docs.github.com/actions/concepts/security/openid-connect.
		"github": {"RSA", "RS256", times(300, object{
			"iss": "https://token.actions.githubusercontent.com", "aud": aud, "jti": "e-1", "nbf": now.Unix() - 10,
			"sub": "repo:acme/report:environment:production", "ref": "refs/heads/main", "repository": "acme/report",
			"repository_id": "74", "repository_owner": "acme", "repository_owner_id": "65", "environment": "production",
			"run_id": "1", "event_name": "push", "ref_protected": "true", "actor": "octocat",
			"job_workflow_ref": "acme/report/.github/workflows/deploy.yml@refs/heads/main",
		}), trust("https://token.actions.githubusercontent.com", "repo:acme/*:environment:production",
			map[string]string{"repository_owner_id": "65", "job_workflow_ref": "acme/*/deploy.yml@refs/heads/main"})},
		// GitLab CI: id_tokens.
		"gitlab": {"RSA", "RS256", times(300, object{
			"iss": "https://gitlab.example", "aud": aud, "jti": "j", "nbf": now.Unix() - 15,
			"sub": "project_path:acme/report:ref_type:branch:ref:main", "namespace_id": "72", "project_id": "20",
			"project_path": "acme/report", "ref": "main", "ref_type": "branch", "ref_protected": "true",
			"pipeline_source": "push", "user_login": "a", "runner_id": 1, "groups_direct": []string{"acme"},
		}), trust("https://gitlab.example", "project_path:acme/report:ref_type:branch:ref:main",
			map[string]string{"project_id": "20", "ref_protected": "true"})},
		// AWS: sts:GetWebIdentityToken, IAM outbound identity federation.
		"aws": {"P-384", "ES384", times(900, object{
			"iss": "https://abc123.tokens.sts.global.api.aws", "aud": aud, "jti": "x",
			"sub": "arn:aws:iam::123456789012:role/DataProcessingRole",
			"https://sts.amazonaws.com/": object{
				"aws_account": "123456789012", "source_region": "us-east-1", "org_id": "o-abc1234567",
				"principal_tags": object{"environment": "production"}, "request_tags": object{"job-id": "1"},
			},
		}), trust("https://abc123.tokens.sts.global.api.aws", "arn:aws:iam::123456789012:role/*",
			map[string]string{"/https:~1~1sts.amazonaws.com~1/org_id": "o-abc1234567"})},
		// Google Cloud VM: the metadata service's identity token.
		"gcp": {"RSA", "RS256", times(3600, object{
			"iss": "https://accounts.google.com", "aud": aud, "azp": "1", "sub": "104", "email_verified": true,
			"email":  "vm@project.iam.gserviceaccount.com",
			"google": object{"compute_engine": object{"instance_id": "9", "project_id": "project", "zone": "z"}},
		}), trust("https://accounts.google.com", "104", map[string]string{"/google/compute_engine/project_id": "project"})},
	}
}

func (w workload) signed(claims object) string {
	return signedBy(w.pair, w.alg, object{"alg": w.alg, "kid": "k1", "typ": "JWT"}, claims)
}

func (w workload) fixture(t testing.TB) *fixture {
	t.Helper()
	return newProven(t, object{w.credential.Issuer: jwksOf(t, w.pair, "k1")}, registry.Client{
		ID: "job", Authentication: []string{"federated"}, FederatedCredentials: []registry.FederatedCredential{w.credential},
	})
}

func (f *fixture) identify(kind, assertion string, more ...string) *httptest.ResponseRecorder {
	return f.send(asserted(kind, assertion, append([]string{"client_id", "job"}, more...)...))
}

func TestC17Workloads(t *testing.T) {
	t.Parallel()
	for name, w := range workloads() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := w.fixture(t)
			good := w.signed(w.claims)
			for _, kind := range []string{jwtBearer, idToken} {
				for range 2 { // reusable, as the workloads use it
					if r := f.identify(kind, good, "application_federated_credential_name", "c"); r.Code != 200 {
						t.Fatalf("%d %s\n%s", r.Code, r.Body, f.log)
					}
				}
				if r := f.identify(kind, good, "application_federated_credential_name", "d"); r.Code != 401 {
					t.Errorf("for another credential: %d", r.Code)
				}
			}
			if r := f.send(asserted(jwtBearer, good)); r.Code != 400 {
				t.Errorf("without client_id: %d", r.Code)
			}
			for change, value := range map[string]object{
				"another issuer":    {"iss": "https://evil.example"},
				"the issuer and /":  {"iss": w.credential.Issuer + "/"},
				"another audience":  {"aud": "another"},
				"no audience":       {"aud": nil},
				"another subject":   {"sub": w.claims["sub"].(string) + "x:y"},
				"a shorter subject": {"sub": w.claims["sub"].(string)[1:]},
				"no subject":        {"sub": nil},
				"expired":           {"exp": now.Unix() - 31},
				"of the future":     {"nbf": now.Unix() + 31},
				"made tomorrow":     {"iat": now.Unix() + 31},
				"longer than a day": {"exp": now.Unix() + 86401},
				"old and long":      {"iat": now.Unix() - 86400},
				"no exp":            {"exp": nil},
			} {
				claims := maps.Clone(w.claims)
				maps.Copy(claims, value)
				maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
				if r := f.identify(idToken, w.signed(claims)); r.Code != 401 {
					t.Errorf("%s: %d %s", change, r.Code, r.Body)
				}
			}
			for claim := range w.credential.Claims {
				wrong := w.credential
				wrong.Claims = map[string]string{claim: "another"}
				other := w
				other.credential = wrong
				if r := other.fixture(t).identify(idToken, good); r.Code != 401 {
					t.Errorf("another %s: %d", claim, r.Code)
				}
			}
		})
	}
}

func TestC17Credentials(t *testing.T) {
	t.Parallel()
	w := workloads()["github"]
	inline, atURL, disabled, young := w.credential, w.credential, w.credential, w.credential
	inline.JWKS = json.RawMessage(jwksOf(t, "RSA", "k1"))
	atURL.JWKSURL = "https://keys.example/jwks"
	disabled.Status = registry.Disabled
	young.MaxAge = registry.Duration(time.Minute)
	old := maps.Clone(w.claims)
	old["iat"] = now.Unix() - 91
	for name, row := range map[string]struct {
		sources     object
		credentials []registry.FederatedCredential
		claims      object
		header      object
		status      int
	}{
		"keys inline":          {nil, []registry.FederatedCredential{inline}, w.claims, nil, 200},
		"keys at a URL":        {object{"https://keys.example/jwks": jwksOf(t, "RSA", "k1")}, []registry.FederatedCredential{atURL}, w.claims, nil, 200},
		"keys of another":      {object{w.credential.Issuer: jwksOf(t, "P-256", "k1")}, []registry.FederatedCredential{w.credential}, w.claims, nil, 401},
		"keys of another kid":  {object{w.credential.Issuer: jwksOf(t, "RSA", "k2")}, []registry.FederatedCredential{w.credential}, w.claims, nil, 401},
		"keys away":            {nil, []registry.FederatedCredential{w.credential}, w.claims, nil, 503},
		"one away, one inline": {nil, []registry.FederatedCredential{w.credential, inline}, w.claims, nil, 200},
		"disabled":             {object{w.credential.Issuer: jwksOf(t, "RSA", "k1")}, []registry.FederatedCredential{disabled}, w.claims, nil, 401},
		"young enough":         {nil, []registry.FederatedCredential{func() registry.FederatedCredential { y := young; y.JWKS = inline.JWKS; return y }()}, w.claims, nil, 200},
		"older than max_age":   {nil, []registry.FederatedCredential{func() registry.FederatedCredential { y := young; y.JWKS = inline.JWKS; return y }()}, old, nil, 401},
		"no credential":        {nil, nil, w.claims, nil, 401},
		"typ of access tokens": {nil, []registry.FederatedCredential{inline}, w.claims, object{"typ": "at+jwt"}, 401},
		"typ of logout tokens": {nil, []registry.FederatedCredential{inline}, w.claims, object{"typ": "logout+jwt"}, 401},
		"without typ":          {nil, []registry.FederatedCredential{inline}, w.claims, object{}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newProven(t, row.sources, registry.Client{
				ID: "job", Authentication: []string{"federated"}, FederatedCredentials: row.credentials,
			})
			header := object{"alg": "RS256", "kid": "k1", "typ": "JWT"}
			if row.header != nil {
				header = object{"alg": "RS256", "kid": "k1"}
				maps.Copy(header, row.header)
			}
			if r := f.identify(idToken, signedBy("RSA", "RS256", header, row.claims)); r.Code != row.status {
				t.Fatalf("%d %s\n%s", r.Code, r.Body, f.log)
			}
		})
	}
	// An identity proves nothing for a client that is not registered for it.
	f := newProven(t, nil, registry.Client{ID: "job", Authentication: []string{"private_key_jwt"},
		PublicKeys: []string{publicPEM(t, "RSA")}, FederatedCredentials: []registry.FederatedCredential{inline}})
	if r := f.identify(idToken, w.signed(w.claims)); r.Code != 401 {
		t.Errorf("C11: %d", r.Code)
	}
}
