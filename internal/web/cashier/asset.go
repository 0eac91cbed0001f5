package cashier

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"net/http"
	"path"
	"strconv"
)

//go:embed assets/*
var assetFiles embed.FS

var errNoPage = errors.New("phase has no page")

type file struct {
	kind string
	body []byte
}

// kinds is fixed: the machine's own table of types may differ.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets maps served names (cashier.1a2b3c4d.css) to files; assetPaths maps plain names to their paths. A request is
// looked up in the map and never becomes a path of anything (A99, A101).
var assets, assetPaths = func() (map[string]file, map[string]string) {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // embedded: the build is broken
	}
	files, paths := map[string]file{}, map[string]string{}
	for _, entry := range entries {
		body, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(entry.Name())
		served := entry.Name()[:len(entry.Name())-len(ext)] + "." + hex.EncodeToString(sum[:4]) + ext
		files[served] = file{kind: kinds[ext], body: body}
		paths[entry.Name()] = "/payment/assets/" + served
	}
	return files, paths
}()

func (h *cashier) asset(w http.ResponseWriter, r *http.Request) {
	f, ok := assets[r.PathValue("file")]
	if !ok {
		h.notFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("Content-Length", strconv.Itoa(len(f.body)))
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(f.body) // only the connection can fail
}
