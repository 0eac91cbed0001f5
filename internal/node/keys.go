package node

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"piaohao/internal/gateway"
)

// testKeys are the secrets of test mode's two shops, made at the first start and shown at every one.
type testKeys struct {
	Default     string `json:"default"`      // API key of the default shop
	Demo        string `json:"demo"`         // API key of the demo shop
	DemoWebhook string `json:"demo_webhook"` // secret of the demo shop's endpoint
}

const keysFile = "test.keys"

// loadTestKeys reads data/test.keys, or makes it, readable by its owner only.
func loadTestKeys(dir string) (testKeys, error) {
	path := filepath.Join(dir, keysFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeTestKeys(path)
	}
	if err != nil {
		return testKeys{}, fmt.Errorf("cannot read the test keys: %w", err)
	}
	var k testKeys
	if err := json.Unmarshal(text, &k); err != nil || k.Default == "" || k.Demo == "" || k.DemoWebhook == "" {
		return testKeys{}, fmt.Errorf("%s is damaged: delete it, new keys are made at the next start", path)
	}
	return k, nil
}

func makeTestKeys(path string) (testKeys, error) {
	k := testKeys{
		Default: gateway.TestKeyPrefix + randomText(), Demo: gateway.TestKeyPrefix + randomText(),
		DemoWebhook: "whsec_" + base64.StdEncoding.EncodeToString(randomBytes()),
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return k, err
	}
	// Under another name first: a process that is killed in between leaves no half file.
	fresh := path + ".new"
	err = os.WriteFile(fresh, append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return k, fmt.Errorf("cannot write the test keys: %w", err)
	}
	return k, nil
}

func randomBytes() []byte {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return b
}

func randomText() string { return base64.RawURLEncoding.EncodeToString(randomBytes()) }
