package simkit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	maxDocuments = 1_000_000       // of all kinds together; then the books refuse, with the cure
	maxLine      = 4 << 20         // bytes of one journal line
	syncEvery    = 1 * time.Second // what a power cut may cost; a killed process loses nothing
	journalName  = "books.jsonl"
)

// Books holds a simulator's documents by (kind, id). With a directory they live in a journal of JSON lines, one line
// for each Do, which is compacted when it is opened. Only one process may have a directory open.
type Books struct {
	wall func() time.Time

	mu      sync.Mutex
	kinds   map[string]*shelf
	count   int
	journal *os.File // nil = memory only
	broken  error    // the first failed write: its torn line must stay the last one
	synced  time.Time
}

// shelf keeps the documents of one kind in the order in which they first came.
type shelf struct {
	docs  map[string]entry
	order []string // an id is live here only at its entry's pos; the rest was deleted
}

type entry struct {
	doc json.RawMessage
	pos int
}

// change is one document written, or deleted when Doc is absent.
type change struct {
	Kind string          `json:"kind"`
	ID   string          `json:"id"`
	Doc  json.RawMessage `json:"doc,omitempty"`
}

// OpenBooks reads, compacts and opens the books in dir, or makes them; dir "" keeps them in memory.
// A torn last line (the process died while writing it) is dropped; any other damage is an error.
func OpenBooks(dir string, wall func() time.Time) (*Books, error) {
	b := &Books{wall: wall, kinds: map[string]*shelf{}, synced: wall()}
	if dir == "" {
		return b, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("simkit: make the directory of the books: %w", err)
	}
	path := filepath.Join(dir, journalName)
	if err := b.read(path); err != nil {
		return nil, fmt.Errorf("simkit: read %s (delete it to start with empty books): %w", path, err)
	}
	if err := b.compact(path); err != nil {
		return nil, fmt.Errorf("simkit: compact %s: %w", path, err)
	}
	return b, nil
}

// Do runs f with the books to itself. What f wrote takes effect, as one journal line, only when f returns nil.
// f must not sign, send, or call Do.
func (b *Books) Do(f func(tx *Tx) error) error {
	toSync, err := b.do(f)
	if err != nil || toSync == nil {
		return err
	}
	return toSync.Sync() // outside the lock: it may take long
}

// do returns the journal when it is due to be synced.
func (b *Books) do(f func(tx *Tx) error) (*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tx := &Tx{books: b}
	if err := f(tx); err != nil {
		return nil, err
	}
	if err := b.commit(tx); err != nil {
		return nil, err
	}
	now := b.wall()
	if b.journal == nil || len(tx.changes) == 0 || now.Sub(b.synced) < syncEvery {
		return nil, nil
	}
	b.synced = now
	return b.journal, nil
}

// Close syncs and closes the journal.
func (b *Books) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.journal == nil {
		return nil
	}
	return errors.Join(b.journal.Sync(), b.journal.Close())
}

func (b *Books) commit(tx *Tx) error {
	if b.broken != nil {
		return b.broken
	}
	if len(tx.changes) > 0 && b.journal != nil {
		line, err := json.Marshal(tx.changes)
		if err != nil {
			return fmt.Errorf("simkit: write the books: %w", err)
		}
		if _, err := b.journal.Write(append(line, '\n')); err != nil {
			b.broken = fmt.Errorf("simkit: write the books: %w", err)
			return b.broken
		}
	}
	for _, c := range tx.changes {
		b.apply(c)
	}
	for _, f := range tx.after {
		f()
	}
	return nil
}

func (b *Books) apply(c change) {
	s := b.kinds[c.Kind]
	if s == nil {
		s = &shelf{docs: map[string]entry{}}
		b.kinds[c.Kind] = s
	}
	old, known := s.docs[c.ID]
	switch {
	case c.Doc == nil && known:
		delete(s.docs, c.ID)
		b.count--
		s.tidy()
	case c.Doc != nil && known:
		s.docs[c.ID] = entry{doc: c.Doc, pos: old.pos}
	case c.Doc != nil:
		s.docs[c.ID] = entry{doc: c.Doc, pos: len(s.order)}
		s.order = append(s.order, c.ID)
		b.count++
	}
}

// tidy drops deleted ids once they are the greater part, so that deleting stays cheap on average.
func (s *shelf) tidy() {
	if len(s.order) < 2*len(s.docs)+16 {
		return
	}
	live := make([]string, 0, len(s.docs))
	s.each(func(id string, doc json.RawMessage) {
		s.docs[id] = entry{doc: doc, pos: len(live)}
		live = append(live, id)
	})
	s.order = live
}

func (s *shelf) each(f func(id string, doc json.RawMessage)) {
	for pos, id := range s.order {
		if e, ok := s.docs[id]; ok && e.pos == pos {
			f(id, e.doc)
		}
	}
}

func (b *Books) read(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	r := bufio.NewReader(f)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // whatever follows the last line end is torn
		}
		if err != nil {
			return err
		}
		if len(line) > maxLine {
			return fmt.Errorf("line %d is longer than %d bytes", number, maxLine)
		}
		var changes []change
		if err := json.Unmarshal(line, &changes); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		for _, c := range changes {
			b.apply(c)
		}
	}
}

// compact writes the documents to a new journal beside the old one and takes its place.
func (b *Books) compact(path string) error {
	next, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(next)
	encode := json.NewEncoder(w) // ends each line; bufio keeps the first error for Flush
	for kind, s := range b.kinds {
		s.each(func(id string, doc json.RawMessage) {
			_ = encode.Encode([]change{{Kind: kind, ID: id, Doc: doc}})
		})
	}
	if err := errors.Join(w.Flush(), next.Sync(), os.Rename(path+".new", path)); err != nil {
		return errors.Join(err, next.Close())
	}
	b.journal = next
	return nil
}

// Tx reads and writes inside one Do. It sees its own writes.
type Tx struct {
	books   *Books
	changes []change
	after   []func()
}

// Get reads the document into *into and tells whether it exists.
func (tx *Tx) Get(kind, id string, into any) (bool, error) {
	doc, ok := tx.find(kind, id)
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(doc, into); err != nil {
		return false, fmt.Errorf("simkit: read %s %s: %w", kind, id, err)
	}
	return true, nil
}

// Put writes the document, new or in place of the old one.
func (tx *Tx) Put(kind, id string, doc any) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("simkit: write %s %s: %w", kind, id, err)
	}
	if len(raw) > maxLine/4 || bytes.Equal(raw, []byte("null")) {
		return fmt.Errorf("simkit: %s %s is no document of at most %d bytes", kind, id, maxLine/4)
	}
	if _, known := tx.find(kind, id); !known && tx.books.count+len(tx.changes) >= maxDocuments {
		return fmt.Errorf("simkit: the simulator's books hold %d documents, which is the most they can: delete data/sim", maxDocuments)
	}
	tx.changes = append(tx.changes, change{Kind: kind, ID: id, Doc: raw})
	return nil
}

// Delete removes the document if it is there.
func (tx *Tx) Delete(kind, id string) {
	tx.changes = append(tx.changes, change{Kind: kind, ID: id})
}

// After runs f once this Do has been written, still under its lock: for what mirrors the books in memory.
func (tx *Tx) After(f func()) { tx.after = append(tx.after, f) }

func (tx *Tx) find(kind, id string) (json.RawMessage, bool) {
	for i := len(tx.changes) - 1; i >= 0; i-- {
		if c := tx.changes[i]; c.Kind == kind && c.ID == id {
			return c.Doc, c.Doc != nil
		}
	}
	s := tx.books.kinds[kind]
	if s == nil {
		return nil, false
	}
	e, ok := s.docs[id]
	return e.doc, ok
}

// List returns the documents of a kind in the order in which they first came.
func List[T any](b *Books, kind string) ([]T, error) {
	var raws []json.RawMessage
	b.mu.Lock()
	if s := b.kinds[kind]; s != nil {
		raws = make([]json.RawMessage, 0, len(s.docs))
		s.each(func(_ string, doc json.RawMessage) { raws = append(raws, doc) })
	}
	b.mu.Unlock()
	out := make([]T, len(raws))
	for i, raw := range raws {
		if err := json.Unmarshal(raw, &out[i]); err != nil {
			return nil, fmt.Errorf("simkit: read a %s: %w", kind, err)
		}
	}
	return out, nil
}
