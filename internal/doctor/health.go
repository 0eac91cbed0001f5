package doctor

import (
	"encoding/json"
	"net/http"
)

// HealthPath is where a running gateway says who it is. It lies below /payment/ because that is all that a proxy needs
// to hand on.
const HealthPath = "/payment/health"

// health is the answer. It tells nothing that the pages beside it do not.
type health struct {
	Service  string `json:"service"` // "piaohao"
	Livemode bool   `json:"livemode"`
}

const service = "piaohao"

// Health answers at HealthPath: that this is a gateway, and its mode.
func Health(livemode bool) http.Handler {
	body, _ := json.Marshal(health{service, livemode}) // a string and a bool cannot fail
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body)
	})
}
