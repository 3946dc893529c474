package cloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The worked example of AWS's documentation of Signature Version 4.
func TestVectorSignatureVersion4(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("User-Agent", "not signed")
	c := Credentials{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	signV4(r, hexDigest(nil), c, "iam", "us-east-1", "20150830T123600Z")
	want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
		"SignedHeaders=content-type;host;x-amz-date, " +
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The worked example of Alibaba Cloud's documentation of the V3 signature.
func TestVectorACS3(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "https://ecs.cn-shanghai.aliyuncs.com/?RegionId=cn-shanghai&"+
		"ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", nil)
	c := Credentials{ID: "YourAccessKeyId", Secret: "YourAccessKeySecret"}
	signACS3(r, c, "RunInstances", "2014-05-26", "2023-10-26T10:22:32Z", "3156853299f313e23d1673dc12e1703d")
	want := "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got := r.Header.Get("Authorization"); !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAWSPathAndQuery(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                                   "/",
		"/model/anthropic.claude:0/converse": "/model/anthropic.claude%3A0/converse",
		"/model/a%3Ab/invoke":                "/model/a%253Ab/invoke",
	} {
		r := httptest.NewRequest(http.MethodPost, "https://bedrock.example"+path, nil)
		if path == "" {
			r.URL.Path = ""
		}
		if got := awsPath(r.URL, "bedrock"); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	if got := awsQuery("b=2&a=%20x&a=+&c"); got != "a=%20&a=%20x&b=2&c=" {
		t.Error(got)
	}
}

// keyService stands in for both clouds' services: it verifies the signature by signing the same request again.
func keyService(t *testing.T, c Credentials, status int, plaintext string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Authorization")
		body, _ := io.ReadAll(r.Body)
		again := r.Clone(r.Context())
		if strings.HasPrefix(sent, "AWS4") {
			signV4(again, hexDigest(body), c, "kms", "eu-west-1", r.Header.Get("X-Amz-Date"))
			if r.Header.Get("X-Amz-Target") != "TrentService.Decrypt" || !strings.Contains(string(body), `"CiphertextBlob":"Y2lwaGVy"`) {
				t.Errorf("target %s, body %s", r.Header.Get("X-Amz-Target"), body)
			}
		} else {
			signACS3(again, c, "Decrypt", "2016-01-20", r.Header.Get("X-Acs-Date"), r.Header.Get("X-Acs-Signature-Nonce"))
			if r.URL.Query().Get("CiphertextBlob") != "Y2lwaGVy" || r.Header.Get("X-Acs-Action") != "Decrypt" {
				t.Errorf("%s %v", r.URL, r.Header)
			}
		}
		if got := again.Header.Get("Authorization"); got != sent {
			t.Errorf("signed\n%s, want\n%s", sent, got)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"KeyId": "k", "Plaintext": plaintext})
	}))
	t.Cleanup(s.Close)
	return s
}

func TestKMSOpensAMasterKey(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 32)
	text := base64.StdEncoding.EncodeToString([]byte(key))
	c := Credentials{"id", "a-secret-access-key", "a-session-token"}
	for name, test := range map[string]struct {
		status    int
		aws, alib string // plaintext members
		fault     string
	}{
		"the key":         {200, text, text, ""},
		"its base64":      {200, base64.StdEncoding.EncodeToString([]byte(text)), text, ""},
		"something else":  {200, base64.StdEncoding.EncodeToString([]byte("short")), "short", "not base64 of 32 bytes"},
		"no right to it":  {400, text, text, "answers 400"},
		"an empty answer": {200, "", "", "not base64 of 32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, aws := range []bool{true, false} {
				plaintext := test.alib
				if aws {
					plaintext = test.aws
				}
				service := keyService(t, c, test.status, plaintext)
				k := KMS{Now: time.Now, Lookup: func(name string) (string, bool) {
					value, ok := map[string]string{
						"AWS_ACCESS_KEY_ID": c.ID, "AWS_SECRET_ACCESS_KEY": c.Secret, "AWS_SESSION_TOKEN": c.Session,
						"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_KMS": service.URL,
						"ALIBABA_CLOUD_ACCESS_KEY_ID": c.ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": c.Secret,
						"ALIBABA_CLOUD_SECURITY_TOKEN": c.Session, "FC_REGION": "ap-southeast-1",
						"ALIBABA_CLOUD_KMS_ENDPOINT": service.URL,
					}[name]
					return value, ok
				}}
				open := k.Alibaba
				if aws {
					open = k.AWS
				}
				got, err := open(context.Background(), "Y2lwaGVy")
				if test.fault == "" && (err != nil || string(got) != key) {
					t.Errorf("%q, %v", got, err)
				}
				if test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), text)) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func TestKMSWithoutCredentialsOrService(t *testing.T) {
	t.Parallel()
	none := KMS{Now: time.Now, Lookup: func(string) (string, bool) { return "", false }}
	if _, err := none.AWS(context.Background(), "x"); err == nil {
		t.Error("AWS opened without credentials")
	}
	if _, err := none.Alibaba(context.Background(), "x"); err == nil {
		t.Error("Alibaba opened without credentials")
	}
	away := KMS{Now: time.Now, Lookup: func(name string) (string, bool) {
		if strings.HasSuffix(name, "ENDPOINT") {
			return "http://127.0.0.1:1", true
		}
		return "x", true
	}}
	if _, err := away.Alibaba(context.Background(), "c2VjcmV0"); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("%v", err)
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	t.Parallel()
	c := Credentials{"AKID", "a-secret", "a-session"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "secret") || strings.Contains(text, "session") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}
