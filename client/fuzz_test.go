package client

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// FuzzVerifyWebhook: nothing is taken that was not signed with the secret, and what was is taken as it stands.
func FuzzVerifyWebhook(f *testing.F) {
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3A="
	now := time.Unix(1_790_000_000, 0)
	f.Add([]byte(`{"id":"evt_1","type":"payment.paid","data":{}}`), "evt_1", "v1,AAAA", int64(0))
	f.Add([]byte(`{"id":"evt_2","type":"x"}`), "evt_1", "v1a,x v1,", int64(301))
	f.Add([]byte(`null`), "", "v1,", int64(-301))
	f.Fuzz(func(t *testing.T, body []byte, id, signature string, off int64) {
		at := now.Add(time.Duration(off%600) * time.Second)
		forged := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
		if e, err := VerifyWebhook(secret, forged, body, now); err == nil {
			t.Fatalf("taken without a signature: %+v", e)
		}
		genuine, err := SignTestPayload(secret, id, at, body)
		if err != nil {
			t.Fatal(err)
		}
		e, err := VerifyWebhook(secret, genuine, body, now)
		var plain struct{ ID, Type string }
		readable := json.Unmarshal(body, &plain) == nil
		if err == nil && (!readable || e.ID != id || id == "" || e.Type == "" || at.Sub(now).Abs() > Tolerance) {
			t.Fatalf("%q of %s, %s off, is taken", body, id, at.Sub(now))
		}
	})
}
