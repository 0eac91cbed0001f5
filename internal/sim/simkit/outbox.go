package simkit

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	noticeKind     = "notice"
	noticeDeadline = 5 * time.Second // both platforms: no answer in 5 s counts as none
	maxReply       = 64 << 10        // bytes read of a receiver's answer
	maxPending     = 200_000         // notices waiting; then Add refuses
)

// Notice is one message that a platform owes a merchant until it is acknowledged or the retry table ends.
type Notice struct {
	ID       string          `json:"id"`       // unique; stays the same over all tries
	Platform string          `json:"platform"` // whose Postman writes and judges it
	URL      string          `json:"url"`
	Created  time.Time       `json:"created"` // business time
	Due      time.Time       `json:"due"`     // business time of the next try; Add takes it for the first one, zero or past = now
	Tries    int             `json:"tries"`   // made so far
	Content  json.RawMessage `json:"content"` // the platform's own; each try's message is written from it
}

// Postman is what the outbox needs to know about one platform's notices.
type Postman interface {
	// Retries is the documented table: the gaps between one try and the next, in business time. After the last
	// of them the notice is given up.
	Retries() []time.Duration
	// Write makes the message of one try, freshly signed. A probe carries a signature that is wrong on purpose.
	// It is called outside all locks and may run at the same time as others.
	Write(n Notice, probe bool) (http.Header, []byte, error)
	// Acknowledged judges the receiver's answer; the body holds at most its first 64 KiB.
	Acknowledged(status int, body []byte) bool
}

// Outbox holds the notices that are due or will be. A notice is a document until it is finished.
type Outbox struct {
	kit *Kit

	mu      sync.Mutex
	postmen map[string]Postman
	queue   noticeQueue // without those being sent at this moment
	pending int         // with them
	seq     uint64
}

func openOutbox(k *Kit) (*Outbox, error) {
	o := &Outbox{kit: k, postmen: map[string]Postman{}}
	kept, err := List[Notice](k.Books, noticeKind)
	if err != nil {
		return nil, err
	}
	for _, n := range kept {
		o.push(n)
		o.pending++
	}
	return o, nil
}

// Register tells the outbox how a platform's notices are written. Before the first Step.
func (o *Outbox) Register(platform string, p Postman) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.postmen[platform] = p
}

// Add makes a notice due now or at its Due (later only by the delay fault), together with whatever else tx writes.
// An ID that is already waiting is left as it is.
func (o *Outbox) Add(tx *Tx, n Notice) error {
	var known Notice
	if found, err := tx.Get(noticeKind, n.ID, &known); found || err != nil {
		return err
	}
	if o.Pending() >= maxPending {
		return fmt.Errorf("simkit: %d notices wait to be sent, which is the most there can be", maxPending)
	}
	n.Created = o.kit.Clock.Now()
	if n.Due.After(n.Created) {
		n.Created = n.Due // what it tells happens only then
	}
	n.Due = n.Created.Add(o.kit.Faults.delay())
	if err := tx.Put(noticeKind, n.ID, n); err != nil {
		return err
	}
	tx.After(func() {
		o.mu.Lock()
		o.pushLocked(n)
		o.pending++
		o.mu.Unlock()
		o.kit.signal()
	})
	return nil
}

// Pending returns how many notices are neither acknowledged nor given up.
func (o *Outbox) Pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending
}

// Step sends the notice that is due longest, if one is due, and finishes it or sets its next try. It returns the wall
// time of the next due one (which may be past); zero = none. Several Steps may run at once: each takes its own.
func (o *Outbox) Step(ctx context.Context) (time.Time, error) {
	n, postman, ok := o.take()
	if !ok {
		return o.next(), nil
	}
	acknowledged, forever, err := o.try(ctx, n, postman)
	if ctx.Err() != nil && !acknowledged {
		o.push(n) // we are stopping, not the receiver refusing: this was no try
		return o.next(), ctx.Err()
	}
	if err != nil {
		o.kit.Log.Warn("sim: notice not sent", "notice", n.ID, "try", n.Tries+1, "error", err)
	}
	return o.settle(n, postman, acknowledged || forever)
}

func (o *Outbox) take() (Notice, Postman, bool) {
	now := o.kit.Clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 || o.queue[0].Due.After(now) {
		return Notice{}, nil, false
	}
	n := heap.Pop(&o.queue).(queued).Notice
	if len(o.queue) > 0 && !o.queue[0].Due.After(now) {
		o.kit.signal()
	}
	return n, o.postmen[n.Platform], true
}

func (o *Outbox) next() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return time.Time{}
	}
	return o.kit.Clock.WallAt(o.queue[0].Due)
}

// try makes one try under the faults that it meets.
func (o *Outbox) try(ctx context.Context, n Notice, postman Postman) (acknowledged, forever bool, err error) {
	if postman == nil {
		return false, false, fmt.Errorf("no platform named %s is mounted", n.Platform)
	}
	fate := o.kit.Faults.notice()
	if fate.drop {
		return false, fate.forever, nil
	}
	acknowledged, err = o.send(ctx, n, postman, fate.probe)
	if fate.double {
		again, againErr := o.send(ctx, n, postman, fate.probe)
		acknowledged, err = acknowledged || again, againErr
	}
	if fate.probe && acknowledged {
		o.kit.Log.Warn("sim: a notice with a wrong signature was acknowledged; its receiver does not verify", "notice", n.ID)
	}
	// The platform sends a probed notice again with a good signature, whatever the receiver made of it.
	return acknowledged && !fate.probe, false, err
}

func (o *Outbox) send(ctx context.Context, n Notice, postman Postman, probe bool) (bool, error) {
	header, body, err := postman.Write(n, probe)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, noticeDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header = header
	resp, err := o.kit.HTTP.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return false, err
	}
	return postman.Acknowledged(resp.StatusCode, reply), nil
}

// settle writes what became of the try: nothing left to do, or the next row of the table.
func (o *Outbox) settle(n Notice, postman Postman, finished bool) (time.Time, error) {
	var table []time.Duration
	if postman != nil {
		table = postman.Retries()
	}
	n.Tries++
	if finished || n.Tries > len(table) {
		if !finished {
			o.kit.Log.Warn("sim: notice given up after its last retry", "notice", n.ID, "tries", n.Tries)
		}
		err := o.kit.Books.Do(func(tx *Tx) error {
			tx.Delete(noticeKind, n.ID)
			return nil
		})
		o.mu.Lock()
		o.pending--
		o.mu.Unlock()
		return o.next(), err
	}
	n.Due = o.kit.Clock.Now().Add(table[n.Tries-1]).Add(o.kit.Faults.delay())
	err := o.kit.Books.Do(func(tx *Tx) error { return tx.Put(noticeKind, n.ID, n) })
	o.push(n)
	return o.next(), err
}

func (o *Outbox) push(n Notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushLocked(n)
}

func (o *Outbox) pushLocked(n Notice) {
	o.seq++
	heap.Push(&o.queue, queued{Notice: n, seq: o.seq})
}

// queued breaks ties by age, so that a run under a seed repeats.
type queued struct {
	Notice
	seq uint64
}

type noticeQueue []queued

func (q noticeQueue) Len() int      { return len(q) }
func (q noticeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q noticeQueue) Less(i, j int) bool {
	if !q[i].Due.Equal(q[j].Due) {
		return q[i].Due.Before(q[j].Due)
	}
	return q[i].seq < q[j].seq
}
func (q *noticeQueue) Push(x any) { *q = append(*q, x.(queued)) }
func (q *noticeQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = queued{}
	*q = (*q)[:last]
	return x
}
