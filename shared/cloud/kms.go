package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"keyless/shared/seal"
)

const (
	// maxKMSReply bounds an answer of a key service: a key, its name, an error's text.
	maxKMSReply = 64 << 10
	// alibabaKMS is the API's version.
	alibabaKMS = "2016-01-20"
)

var errNoCredentials = errors.New("the environment has no credentials of a role")

// KMS opens master keys that a cloud's key service keeps: what stands in the configuration is the key encrypted by a key that never
// leaves the service.
type KMS struct {
	Lookup Lookup           // the environment
	Now    func() time.Time // signs with it
	Client *http.Client     // nil: http.DefaultClient
}

// AWS opens a ciphertext blob, base64, by the action Decrypt of AWS KMS (a symmetric key, no encryption context). The region is
// AWS_REGION; AWS_ENDPOINT_URL_KMS names another endpoint, as for AWS's SDKs. The plaintext is the key's 32 bytes, or its base64.
func (k KMS) AWS(ctx context.Context, blob string) ([]byte, error) {
	credentials, region := AWS(k.Lookup), k.Lookup.text("AWS_REGION")
	if !credentials.Known() || region == "" {
		return nil, errNoCredentials
	}
	endpoint := k.Lookup.text("AWS_ENDPOINT_URL_KMS")
	if endpoint == "" {
		endpoint = "https://kms." + region + ".amazonaws.com"
	}
	body, err := json.Marshal(map[string]string{"CiphertextBlob": blob})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("AWS_ENDPOINT_URL_KMS is no URL")
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.Decrypt")
	SignV4(r, body, credentials, "kms", region, k.Now())
	var reply struct{ Plaintext []byte }
	if err := k.ask(r, &reply); err != nil {
		return nil, err
	}
	return plain(reply.Plaintext)
}

// Alibaba opens a ciphertext blob by the action Decrypt of Alibaba Cloud KMS. The region is FC_REGION or ALIBABA_CLOUD_REGION_ID;
// ALIBABA_CLOUD_KMS_ENDPOINT names another endpoint (scheme and host). The plaintext is the key's base64.
func (k KMS) Alibaba(ctx context.Context, blob string) ([]byte, error) {
	credentials, region := Alibaba(k.Lookup), k.Lookup.text("FC_REGION")
	if region == "" {
		region = k.Lookup.text("ALIBABA_CLOUD_REGION_ID")
	}
	if !credentials.Known() || region == "" {
		return nil, errNoCredentials
	}
	endpoint := k.Lookup.text("ALIBABA_CLOUD_KMS_ENDPOINT")
	if endpoint == "" {
		endpoint = "https://kms." + region + ".aliyuncs.com"
	}
	query := url.Values{"CiphertextBlob": {blob}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/?"+query.Encode(), nil)
	if err != nil {
		return nil, errors.New("ALIBABA_CLOUD_KMS_ENDPOINT is no URL")
	}
	SignACS3(r, credentials, "Decrypt", alibabaKMS, k.Now())
	var reply struct{ Plaintext string }
	if err := k.ask(r, &reply); err != nil {
		return nil, err
	}
	return plain([]byte(reply.Plaintext))
}

// ask reads a JSON answer. Its error holds the status, and nothing of the answer, which may hold the key.
func (k KMS) ask(r *http.Request, reply any) error {
	client := k.Client
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, whose query holds the ciphertext
		}
		return fmt.Errorf("ask the key service: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKMSReply))
	if err != nil {
		return fmt.Errorf("read the key service's answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the key service answers %d: does the role have the right to decrypt?", answer.StatusCode)
	}
	if json.Unmarshal(text, reply) != nil {
		return errors.New("the key service's answer is no JSON")
	}
	return nil
}

// plain takes the 32 bytes of a key, or their base64.
func plain(text []byte) ([]byte, error) {
	const keyBytes = 32
	if len(text) == keyBytes {
		return text, nil
	}
	return seal.ReadKey(string(text))
}
