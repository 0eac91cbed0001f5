package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Whatever prints a secret prints its mask (I-21).
func TestMasked(t *testing.T) {
	t.Parallel()
	const canary = "canary-of-the-mine"
	held := struct {
		Key    Text
		hidden Text
	}{New(canary), New(canary)}
	inJSON, err := json.Marshal(map[Text]Text{held.Key: held.Key})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	slog.New(slog.NewJSONHandler(&lines, nil)).Info("x", "key", held.Key, "held", held)
	slog.New(slog.NewTextHandler(&lines, nil)).Info("x", "key", held.Key, "held", held)
	text, err := held.Key.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join([]string{
		held.Key.String(), held.Key.LogValue().String(), fmt.Sprint(held.Key), fmt.Sprintf("%s %q %v %+v %#v %x %d", held.Key, held.Key, held, held, held, held.Key, held.Key),
		fmt.Sprintln(&held.Key), string(inJSON), string(text), lines.String(),
	}, "\n")
	if strings.Contains(all, canary) || strings.Contains(all, fmt.Sprintf("%x", canary)) {
		t.Errorf("printed:\n%s", all)
	}
	if n := strings.Count(all, masked); n < 12 {
		t.Errorf("masked %d times:\n%s", n, all)
	}
}

func TestReveal(t *testing.T) {
	t.Parallel()
	if got := New("x").Reveal(); got != "x" {
		t.Error(got)
	}
	if !(Text{}).Empty() || (Text{}).Reveal() != "" || New("x").Empty() || !New("").Empty() {
		t.Error("empty is not told from full")
	}
}
