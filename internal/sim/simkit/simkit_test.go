package simkit

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// wallClock is a wall clock that tests move.
type wallClock struct{ ms atomic.Int64 }

func newWall() *wallClock {
	w := &wallClock{}
	w.ms.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	return w
}
func (w *wallClock) Now() time.Time       { return time.UnixMilli(w.ms.Load()).UTC() }
func (w *wallClock) Move(d time.Duration) { w.ms.Add(d.Milliseconds()) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newKit(t *testing.T, dir string, wall *wallClock) *Kit {
	t.Helper()
	k, err := New(Options{PublicURL: "http://127.0.0.1:5001/", Dir: dir, Wall: wall.Now, Seed: 1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

type document struct{ Value string }

func put(t *testing.T, b *Books, id, value string) {
	t.Helper()
	if err := b.Do(func(tx *Tx) error { return tx.Put("doc", id, document{value}) }); err != nil {
		t.Fatal(err)
	}
}

func values(t *testing.T, b *Books) string {
	t.Helper()
	docs, err := List[document](b, "doc")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, d.Value)
	}
	return strings.Join(out, " ")
}

func TestBooksKeepDocumentsInOrderAcrossReopen(t *testing.T) {
	t.Parallel()
	dir, wall := t.TempDir(), newWall()
	b, err := OpenBooks(dir, wall.Now)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, "1", "one")
	put(t, b, "2", "two")
	put(t, b, "3", "three")
	put(t, b, "1", "uno")
	if err := b.Do(func(tx *Tx) error { tx.Delete("doc", "2"); return nil }); err != nil {
		t.Fatal(err)
	}
	put(t, b, "2", "due")
	want := "uno three due"
	if got := values(t, b); got != want {
		t.Errorf("before reopen: %q, want %q", got, want)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time reads what the first compacted
		b, err = OpenBooks(dir, wall.Now)
		if err != nil {
			t.Fatal(err)
		}
		if got := values(t, b); got != want {
			t.Errorf("after reopen: %q, want %q", got, want)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, journalName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal: %v %v, want mode 0600", info.Mode(), err)
	}
}

func TestBooksDeletedDocumentsStayCheap(t *testing.T) {
	t.Parallel()
	b, _ := OpenBooks("", newWall().Now)
	put(t, b, "stays", "stays")
	for i := range 1000 {
		id := fmt.Sprint(i)
		put(t, b, id, id)
		_ = b.Do(func(tx *Tx) error { tx.Delete("doc", id); return nil })
	}
	if n := len(b.kinds["doc"].order); n > 32 {
		t.Errorf("the order of one document holds %d ids", n)
	}
	if got := values(t, b); got != "stays" {
		t.Errorf("left: %q", got)
	}
}

func TestBooksDoIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b, _ := OpenBooks("", newWall().Now)
	put(t, b, "1", "one")
	refused := errors.New("refused")
	ran := false
	err := b.Do(func(tx *Tx) error {
		tx.After(func() { ran = true })
		_ = tx.Put("doc", "1", document{"changed"})
		tx.Delete("doc", "1")
		var d document
		if found, _ := tx.Get("doc", "1", &d); found {
			t.Error("a Do does not see its own delete")
		}
		return refused
	})
	if !errors.Is(err, refused) || ran || values(t, b) != "one" {
		t.Errorf("err %v, after ran %v, documents %q", err, ran, values(t, b))
	}
}

func TestBooksJournalDamage(t *testing.T) {
	t.Parallel()
	good := `[{"kind":"doc","id":"1","doc":{"Value":"one"}}]` + "\n"
	for _, row := range []struct{ name, journal, want, wantErr string }{
		{"a torn last line is dropped", good + `[{"kind":"doc","id"`, "one", ""},
		{"a whole last line without its end is torn too", good + strings.TrimSuffix(good, "\n"), "one", ""},
		{"damage in the middle is an error that says what to do", "{]\n" + good, "", "delete it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, journalName), []byte(row.journal), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := OpenBooks(dir, newWall().Now)
			if row.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), row.wantErr) {
					t.Fatalf("error %v, want %q", err, row.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			if got := values(t, b); got != row.want {
				t.Errorf("documents %q, want %q", got, row.want)
			}
		})
	}
}

func TestBooksAfterAFailedWriteStayClosed(t *testing.T) {
	t.Parallel()
	b, err := OpenBooks(t.TempDir(), newWall().Now)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, "1", "one")
	good := b.journal
	if b.journal, err = os.Open(os.DevNull); err != nil { // for reading: each write fails
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Do(func(tx *Tx) error { return tx.Put("doc", "2", document{"two"}) }); err == nil {
			t.Fatal("a write that failed, or came after one, was reported as done")
		}
		b.journal = good
	}
	if got := values(t, b); got != "one" {
		t.Errorf("documents %q, want only what was written", got)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	dir, wall := t.TempDir(), newWall()
	k := newKit(t, dir, wall)
	start := wall.Now()
	at := func(want time.Duration) {
		t.Helper()
		if got := k.Clock.Now().Sub(start); got != want {
			t.Errorf("business time is %s after the start, want %s", got, want)
		}
	}
	at(0)
	wall.Move(time.Second)
	at(time.Second)
	if err := k.Clock.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	at(time.Hour + time.Second)
	if err := k.Clock.SetScale(60); err != nil {
		t.Fatal(err)
	}
	at(time.Hour + time.Second)
	wall.Move(time.Second)
	at(time.Hour + time.Minute + time.Second)
	wall.Move(-time.Hour)
	at(time.Hour + time.Second) // back to the anchor, not before it
	wall.Move(time.Hour)

	due := k.Clock.Now().Add(90 * time.Second)
	if got, want := k.Clock.WallAt(due), wall.Now().Add(1500*time.Millisecond); !got.Equal(want) {
		t.Errorf("wall time of a due time 90 s ahead at 60×: %s, want %s", got, want)
	}
	select {
	case <-k.Woken():
	default:
		t.Error("moving the clock woke nobody")
	}
	_ = k.Close()
	k = newKit(t, dir, wall)
	at(time.Hour + time.Minute + time.Second)
	if k.Clock.Scale() != 60 {
		t.Errorf("scale after reopen: %d", k.Clock.Scale())
	}
	for _, err := range []error{k.Clock.Advance(-1), k.Clock.Advance(MaxAdvance + 1), k.Clock.SetScale(0), k.Clock.SetScale(MaxScale + 1)} {
		if err == nil {
			t.Error("a clock setting out of bounds was taken")
		}
	}
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir, wall := t.TempDir(), newWall()
	k := newKit(t, dir, wall)
	made, err := k.Key("merchant")
	if err != nil || made.N.BitLen() != keyBits {
		t.Fatalf("key: %v", err)
	}
	text, err := k.KeptText("api_v3_key", AlphaNum, 32)
	if err != nil || len(text) != 32 {
		t.Fatalf("text %q: %v", text, err)
	}
	_ = k.Close()
	k = newKit(t, dir, wall)
	again, err := k.Key("merchant")
	if err != nil || !again.Equal(made) {
		t.Errorf("after reopen the key is another one: %v", err)
	}
	if same, _ := k.KeptText("api_v3_key", AlphaNum, 32); same != text {
		t.Errorf("after reopen the text is another one")
	}

	signature, err := SignRSA(made, []byte("message"))
	if err != nil || !VerifyRSA(&made.PublicKey, []byte("message"), signature) {
		t.Errorf("own signature refused: %v", err)
	}
	for name, bad := range map[string]bool{
		"another message":             VerifyRSA(&made.PublicKey, []byte("massage"), signature),
		"not Base64":                  VerifyRSA(&made.PublicKey, []byte("message"), "WECHATPAY/SIGNTEST/"+signature),
		"a line break in the Base64":  VerifyRSA(&made.PublicKey, []byte("message"), signature+"!"),
		"the bytes of another length": VerifyRSA(&made.PublicKey, []byte("message"), base64.StdEncoding.EncodeToString(big.NewInt(7).Bytes())),
	} {
		if bad {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeysHandedInAreUsed(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(Options{PublicURL: "http://x", Wall: newWall().Now, Log: quiet(), Keys: map[string]*rsa.PrivateKey{"a": key}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := k.Key("a"); got != key {
		t.Error("a made key took the place of the one handed in")
	}
}

func TestTextIsEvenAndBounded(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", newWall())
	k.Random = bytes.NewReader([]byte{255, 250, 249, 0, 11, 255, 255, 255, 29, 9})
	// 250 … 255 would favour 0 … 5: they are skipped.
	if got, err := k.Text(Digits, 5); got != "90199" || err != nil {
		t.Errorf("text %q, %v", got, err)
	}
	k.Random = endless{255}
	if _, err := k.Text(Digits, 5); err == nil {
		t.Error("a source without usable bytes made a text")
	}
}

type endless struct{ b byte }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.b
	}
	return len(p), nil
}

func TestFaultSettings(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", newWall())
	for _, bad := range []FaultSettings{{DropPercent: 101}, {ProbeAnswerPercent: -1}, {DelayMSMax: -1}, {DelayMSMax: maxDelayMS + 1}} {
		if k.Faults.Set(bad) == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	for _, row := range []struct {
		set  FaultSettings
		want CallFate
	}{
		{FaultSettings{}, CallFate{}},
		{FaultSettings{RateLimitedPercent: 100, FailBeforePercent: 100}, CallFate{RateLimited: true}},
		{FaultSettings{FailBeforePercent: 100, LostAnswerPercent: 100}, CallFate{FailBefore: true}},
		{FaultSettings{LostAnswerPercent: 100, ProbeAnswerPercent: 100}, CallFate{LoseAnswer: true}},
		{FaultSettings{ProbeAnswerPercent: 100}, CallFate{Probe: true}},
	} {
		if err := k.Faults.Set(row.set); err != nil {
			t.Fatal(err)
		}
		if got := k.Faults.Call(); got != row.want {
			t.Errorf("%+v: %+v, want %+v", row.set, got, row.want)
		}
	}
	rolls := func() (out []CallFate) {
		f := newFaults(42)
		_ = f.Set(FaultSettings{LostAnswerPercent: 30, FailBeforePercent: 30})
		for range 50 {
			out = append(out, f.Call())
		}
		return out
	}
	if first, second := fmt.Sprint(rolls()), fmt.Sprint(rolls()); first != second {
		t.Error("one seed rolled two different runs")
	}
}

func TestParseObject(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, raw, wantPath, wantIssue string }{
		{"good", `{"a":{"b":[1,"x",true]}}`, "", ""},
		{"trailing line feed", "{}\n", "", ""},
		{"duplicate name", `{"a":1,"a":1}`, "/a", "twice"},
		{"duplicate name deep", `{"a":[{"b":1,"b":2}]}`, "/a/0/b", "twice"},
		{"duplicate by escape", `{"a":1,"\u0061":1}`, "/a", "twice"},
		{"array", `[]`, "", "object"},
		{"two values", `{}{}`, "", "not JSON"},
		{"empty", ``, "", "not JSON"},
		{"broken UTF-8", "{\"a\":\"\xff\"}", "", "UTF-8"},
		{"deep", strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), strings.Repeat("/a", 17), "deeper"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseObject([]byte(row.raw))
			if row.wantIssue == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var bad *JSONError
			if !errors.As(err, &bad) || bad.Path != row.wantPath || !strings.Contains(bad.Issue, row.wantIssue) {
				t.Errorf("error %v, want %q at %q", err, row.wantIssue, row.wantPath)
			}
		})
	}
}

func TestWalletPage(t *testing.T) {
	t.Parallel()
	order := &Order{OutTradeNo: "A1", Amount: 9901, Subject: "<b>茶", Payee: "茶馆", ReturnURL: "https://shop.example/back?a=1"}
	blocked := &Order{OutTradeNo: "A1", Amount: 9901, Blocked: ReasonClosed}
	for _, row := range []struct {
		name      string
		page      Page
		has, lack []string
	}{
		{
			"to confirm",
			Page{Platform: "wechat", Order: order, Code: "c", Action: "/sim/wallet"},
			[]string{"确认付款", "99.01", "&lt;b&gt;茶", "茶馆", `value="refuse"`, `value="balance_short"`, "模拟微信钱包"},
			[]string{"<b>茶", "返回商家"},
		},
		{
			"paid",
			Page{Platform: "alipay", Order: order, Action: "/sim/wallet", Outcome: ResultPay},
			[]string{"支付成功", "返回商家", `href="https://shop.example/back?a=1"`, "模拟支付宝钱包"},
			[]string{"<form"},
		},
		{
			"balance short",
			Page{Order: order, Action: "/sim/wallet", Outcome: ResultBalanceShort},
			[]string{"余额不足", "重新付款"},
			[]string{"返回商家"},
		},
		{
			"closed",
			Page{Order: blocked, Action: "/sim/wallet", Problem: ReasonClosed.Text()},
			[]string{"订单已关闭"},
			[]string{"<form"},
		},
		{"unknown", Page{Problem: "没有这笔订单"}, []string{"没有这笔订单"}, []string{"<form", "¥"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			WritePage(w, http.StatusOK, row.page)
			body := w.Body.String()
			for _, s := range row.has {
				if !strings.Contains(body, s) {
					t.Errorf("lacks %q", s)
				}
			}
			for _, s := range row.lack {
				if strings.Contains(body, s) {
					t.Errorf("has %q", s)
				}
			}
			_, after, _ := strings.Cut(body, "<style>")
			style, _, _ := strings.Cut(after, "</style>")
			sum := sha256.Sum256([]byte(style))
			if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) {
				t.Errorf("the policy does not allow the page's own style: %s", policy)
			}
		})
	}
}
