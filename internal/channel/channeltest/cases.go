package channeltest

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
)

// answered is one row of an operation: what the platform says, and what must come of it.
type answered struct {
	say   Say
	state pay.State    // "" = an error
	kind  channel.Kind // of the error
}

var (
	openCases = []answered{
		{say: SayUnpaid},
		{say: SayDeclined, kind: channel.Declined},
		{say: SayPaid, kind: channel.AlreadyPaid},
		{say: SayClosed, kind: channel.AlreadyClosed},
		{say: SayLimited, kind: channel.Limited},
	}
	queryCases = []answered{
		{say: SayUnpaid, state: pay.Unpaid},
		{say: SayPaid, state: pay.Paid},
		{say: SayClosed, state: pay.Closed},
		{say: SayAbsent, state: pay.Absent},
		{say: SayLimited, kind: channel.Limited},
	}
	closeCases = []answered{
		{say: SayClosed, state: pay.Closed},
		{say: SayAbsent, state: pay.Absent},
		{say: SayPaid, kind: channel.AlreadyPaid},
		{say: SayLimited, kind: channel.Limited},
	}
	sources = map[string]pay.Source{"query": pay.FromQuery, "close": pay.FromClose}
)

func testOpen(t *testing.T, h Harness) {
	for _, product := range h.Info().Products {
		t.Run(product.Name, func(t *testing.T) {
			t.Parallel()
			a := Attempt(h, product)
			if product.Lazy {
				openLazily(t, h, product, a)
				return
			}
			p := answers(h.Answer(t, "open", a, SayUnpaid))
			checkShape(t, build(t, h, p, Now), product, a)
			checkShape(t, build(t, h, p, Now.Add(time.Minute)), product, a) // the answer's signature is still fresh
			if diff := cmp.Diff(p.calls[0], p.calls[1]); diff != "" {
				t.Errorf("a repeat a minute later differs from the first request: %s", diff)
			}
			for _, row := range openCases[1:] {
				t.Run("platform says "+string(row.say), func(t *testing.T) {
					c := build(t, h, answers(h.Answer(t, "open", a, row.say)), Now)
					_, err := c.Open(t.Context(), a)
					mustBe(t, h, err, "open", row.kind)
				})
			}
			testUnknown(t, h, "open", a)
		})
	}
}

// openLazily: a lazy product calls nobody, and the shape is a function of the attempt.
func openLazily(t *testing.T, h Harness, product channel.Product, a pay.Attempt) {
	first := checkShape(t, build(t, h, silent(t), Now), product, a)
	again := checkShape(t, build(t, h, silent(t), Now.Add(time.Hour)), product, a)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("a repeat an hour later differs: %s", diff)
	}
	other := a
	other.OutTradeNo += "9"
	if checkShape(t, build(t, h, silent(t), Now), product, other) == first {
		t.Error("another attempt has the same shape")
	}
}

func checkShape(t *testing.T, c channel.Channel, product channel.Product, a pay.Attempt) pay.Shape {
	t.Helper()
	shape, err := c.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if shape.Kind != product.Shape || shape.Text == "" {
		t.Errorf("shape %+v, want a %s", shape, product.Shape)
	}
	if shape.Until.IsZero() || shape.Until.After(a.ExpiresAt) {
		t.Errorf("shape until %v, the attempt ends at %v", shape.Until, a.ExpiresAt)
	}
	return shape
}

// testAsked runs the rows of query or close, each twice: asking again is fine and says the same.
func testAsked(t *testing.T, h Harness, op string, rows []answered) {
	a := Attempt(h, h.Info().Products[0])
	for _, row := range rows {
		t.Run("platform says "+string(row.say), func(t *testing.T) {
			t.Parallel()
			p := answers(h.Answer(t, op, a, row.say))
			c := build(t, h, p, Now)
			for range 2 {
				o, err := ask(t, c, op, a)
				if row.state == "" {
					mustBe(t, h, err, op, row.kind)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				expect(t, seen(a, sources[op], row.state), o)
			}
			if len(p.calls) != 2 {
				t.Errorf("%d calls for two questions", len(p.calls))
			}
		})
	}
	if op == "query" {
		t.Run("answer about another attempt", func(t *testing.T) {
			t.Parallel()
			other := a
			other.OutTradeNo += "9"
			o, err := ask(t, build(t, h, answers(h.Answer(t, op, other, SayPaid)), Now), op, a)
			if err != nil {
				mustBe(t, h, err, op, channel.Unknown)
				return
			}
			expect(t, seen(other, sources[op], pay.Paid), o) // for the domain to quarantine
		})
	}
	testUnknown(t, h, op, a)
}

// asked is a question to a platform, and what it may answer.
type asked struct {
	op      string
	do      func(c channel.Channel) (pay.Observation, error)
	answers map[Say]channel.Answer
	step    int // bytes between two that a stranger changes: each question costs a private-key operation
}

func testUnknown(t *testing.T, h Harness, op string, a pay.Attempt) {
	q := asked{op, func(c channel.Channel) (pay.Observation, error) { return ask(t, c, op, a) }, map[Say]channel.Answer{}, 11}
	for _, say := range []Say{SayUnpaid, SayPaid, SayClosed, SayAbsent, SayDeclined} {
		if says(op, say) {
			q.answers[say] = h.Answer(t, op, a, say)
		}
	}
	testStrangers(t, h, q)
	testFaults(t, h, q)
}

// testStrangers: whatever a stranger on the way could do to an answer leaves the outcome unknown, or changes nothing.
func testStrangers(t *testing.T, h Harness, q asked) {
	op := q.op
	for say, good := range q.answers {
		want, wantErr := q.do(build(t, h, answers(good), Now))
		broken := func(name string, answer channel.Answer) {
			o, err := q.do(build(t, h, answers(answer), Now))
			if err == nil && wantErr == nil && cmp.Equal(want, o) || kindOf(err) != "" && kindOf(err) == kindOf(wantErr) {
				return // the change was not in what is signed, and changed nothing
			}
			if err == nil {
				t.Fatalf("%s: accepted as %+v", name, o)
			}
			mustBe(t, h, err, op, channel.Unknown)
		}
		t.Run("A12 unsigned "+string(say), func(t *testing.T) {
			_, err := q.do(build(t, h, answers(h.Unsigned(t, good)), Now))
			mustBe(t, h, err, op, channel.Unknown)
		})
		for i := 0; i < len(good.Body); i += q.step {
			broken("byte changed", with(good, slices.Replace(bytes.Clone(good.Body), i, i+1, good.Body[i]^1)))
			broken("byte lost", with(good, slices.Delete(bytes.Clone(good.Body), i, i+1)))
			broken("cut off", with(good, good.Body[:i]))
		}
		for name := range maps.Keys(good.Header) {
			less := good
			less.Header = good.Header.Clone()
			less.Header.Del(name)
			broken("header lost", less)
		}
	}
}

// testFaults: whatever comes between us and the platform leaves the outcome unknown.
func testFaults(t *testing.T, h Harness, q asked) {
	op := q.op
	html := channel.Answer{Status: 502, Header: http.Header{}, Body: []byte("<html>bad gateway</html>")}
	faults := map[string]*platform{
		"502":         answers(html),
		"200 of HTML": answers(channel.Answer{Status: 200, Header: http.Header{}, Body: html.Body}),
		"500 empty":   answers(channel.Answer{Status: 500, Header: http.Header{}}),
		"200 empty":   answers(channel.Answer{Status: 200, Header: http.Header{}}),
		"302":         answers(channel.Answer{Status: 302, Header: http.Header{"Location": {"https://elsewhere.example/"}}}),
		"too large":   answers(channel.Answer{Status: 200, Header: http.Header{}, Body: bytes.Repeat([]byte(" "), channel.MaxBody+1)}),
		"unreachable": {answer: func(*http.Request) (channel.Answer, error) { return channel.Answer{}, errors.New("refused") }},
	}
	for name, p := range faults {
		t.Run(name, func(t *testing.T) {
			_, err := q.do(build(t, h, p, Now))
			mustBe(t, h, err, op, channel.Unknown)
			if len(p.calls) != 1 {
				t.Errorf("%d calls, want 1: the due row is the retry", len(p.calls))
			}
		})
	}
	t.Run("A74 timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &platform{answer: func(req *http.Request) (channel.Answer, error) {
				select {
				case <-req.Context().Done():
				case <-time.After(channel.CallTimeout + time.Second): // in the bubble's time
					t.Error("still waiting beyond what a lease covers")
				}
				return channel.Answer{}, errors.New("no answer")
			}}
			_, err := q.do(build(t, h, p, Now))
			mustBe(t, h, err, op, channel.Unknown)
		})
	})
}

func says(op string, say Say) bool {
	rows := map[string][]answered{"open": openCases, "query": queryCases, "close": closeCases}[op]
	return slices.ContainsFunc(rows, func(row answered) bool { return row.say == say })
}

func with(a channel.Answer, body []byte) channel.Answer {
	a.Body = body
	return a
}

func kindOf(err error) channel.Kind {
	var e *channel.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func testRead(t *testing.T, h Harness) {
	a := Attempt(h, h.Info().Products[0])
	c := build(t, h, silent(t), Now)
	good := h.Notice(t, a)
	want := seen(a, pay.FromNotice, pay.Paid)
	for range 2 { // a repeat says the same
		o, err := c.Read(good)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, want, o)
	}
	// refused: an error, or exactly what was said before, where the change is in nothing that counts (the case of
	// a percent-encoded digit, the Content-Type).
	refused := func(name string, in channel.Inbound) {
		t.Helper()
		o, err := c.Read(in)
		if err == nil {
			if !cmp.Equal(o, want) {
				t.Fatalf("%s: accepted as %+v", name, o)
			}
			return
		}
		mustBe(t, h, err, "read", channel.Forged, channel.Foreign)
		if !cmp.Equal(o, pay.Observation{}) {
			t.Fatalf("%s: an error beside %+v", name, o)
		}
	}
	body := func(b []byte) channel.Inbound {
		in := good
		in.Body = b
		return in
	}
	for i := range good.Body {
		refused("byte changed", body(slices.Replace(bytes.Clone(good.Body), i, i+1, good.Body[i]^1)))
		refused("digit changed", body(slices.Replace(bytes.Clone(good.Body), i, i+1, '9')))
		refused("byte lost", body(slices.Delete(bytes.Clone(good.Body), i, i+1)))
		refused("byte doubled", body(slices.Insert(bytes.Clone(good.Body), i, good.Body[i])))
		refused("cut off", body(good.Body[:i]))
	}
	for name, values := range good.Header {
		changed := func(values []string) channel.Inbound {
			in := good
			in.Header = good.Header.Clone()
			in.Header[name] = values
			return in
		}
		refused("header lost", changed(nil))
		refused("header empty", changed([]string{""}))
		refused("A59 header twice", changed([]string{values[0], values[0] + "0"}))
		for i := range values[0] {
			refused("header changed", changed([]string{values[0][:i] + string(values[0][i]^1) + values[0][i+1:]}))
		}
	}
	for name, in := range map[string]channel.Inbound{
		"empty": {}, "text": {Body: []byte("success")}, "JSON": {Body: []byte(`{"id":"1"}`)},
		"XML": {Body: []byte("<xml><a>1</a></xml>")}, "form": {Body: []byte("a=1&b=2")},
		"too large": body(append(bytes.Clone(good.Body), bytes.Repeat([]byte("0"), channel.MaxBody)...)),
	} {
		_, err := c.Read(in)
		if err == nil {
			t.Fatalf("%s: accepted", name)
		}
		mustBe(t, h, err, "read", channel.Forged, channel.Foreign)
	}
}

func testReturn(t *testing.T, h Harness) {
	c, ok := build(t, h, silent(t), Now).(channel.Returner)
	if !ok {
		return // the platform does not sign the way back
	}
	for _, query := range []string{"", "a=1", "out_trade_no=1&trade_status=TRADE_SUCCESS", "%zz", strings.Repeat("a", channel.MaxBody+1)} {
		number, err := c.Return(query)
		mustBe(t, h, err, "return", channel.Forged, channel.Foreign)
		if number != "" {
			t.Errorf("a number %q beside an error", number)
		}
	}
}

func testAck(t *testing.T, h Harness) {
	c := build(t, h, silent(t), Now)
	yes, no := c.Ack(true), c.Ack(false)
	if yes.Status/100 != 2 {
		t.Errorf("accepted is answered %d", yes.Status)
	}
	if yes == no {
		t.Error("accepted and refused are answered alike")
	}
}

func testConcurrent(t *testing.T, h Harness) {
	product := h.Info().Products[0]
	a := Attempt(h, product)
	c := build(t, h, answers(h.Answer(t, "query", a, SayPaid)), Now)
	notice := h.Notice(t, a)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.Query(t.Context(), a); err != nil {
				t.Error(err)
			}
			if _, err := c.Read(notice); err != nil {
				t.Error(err)
			}
			if product.Lazy {
				if _, err := c.Open(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// testNoGoroutines: a bubble ends only when every goroutine in it has.
func testNoGoroutines(t *testing.T, h Harness) {
	synctest.Test(t, func(t *testing.T) {
		a := Attempt(h, h.Info().Products[0])
		c := build(t, h, answers(h.Answer(t, "query", a, SayPaid)), Now)
		for _, op := range []string{"open", "query", "close"} {
			_, _ = ask(t, c, op, a)
		}
		_, _ = c.Read(h.Notice(t, a))
	})
}
