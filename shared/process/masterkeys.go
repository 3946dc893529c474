package process

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"keyless/shared/cloud"
	"keyless/shared/seal"
)

// maxKeyFile bounds a file that holds a master key: base64 of 32 bytes, and a line's end.
const maxKeyFile = 256

// masterKeys reads master keys: base64, "file:<path>" with the base64 in it, or a key that a cloud's key service opens for the role of
// the function, "aws-kms:<ciphertext>" and "alibaba-kms:<ciphertext>". Only when the first secret is needed is anything opened.
func masterKeys(text string) (*seal.Keys, error) {
	kms := cloud.KMS{Lookup: os.LookupEnv, Now: time.Now}
	return seal.ParseKeysFrom(text, map[string]seal.Source{"file": keyFile, "aws-kms": kms.AWS, "alibaba-kms": kms.Alibaba})
}

func keyFile(_ context.Context, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.New("the file cannot be read")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if errors.Join(err, file.Close()) != nil {
		return nil, errors.New("the file cannot be read")
	}
	return seal.ReadKey(string(text))
}
