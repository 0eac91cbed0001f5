package store

import "sync"

// maxRemembered bounds the rows that are remembered.
const maxRemembered = 1024

// memory keeps shops and API keys as they were last read, where no other process can write them: SQLite under its lock
// file. Each write of one of them forgets all before its caller hears that it is done. nil remembers nothing: PostgreSQL
// is asked each time, so that a revocation counts at once on every node.
type memory struct {
	mu     sync.Mutex
	writes int64 // so far: what was read before one is not remembered after it
	rows   map[any]any
}

// recall returns what read found for key earlier, else asks it. Errors are not remembered: nobody fills it with keys that
// do not exist.
func recall[T any](m *memory, key any, read func() (T, error)) (T, error) {
	if m == nil {
		return read()
	}
	m.mu.Lock()
	known, ok := m.rows[key].(T)
	writes := m.writes
	m.mu.Unlock()
	if ok {
		return known, nil
	}
	row, err := read()
	if err != nil {
		return row, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes == writes {
		if m.rows == nil || len(m.rows) >= maxRemembered {
			m.rows = map[any]any{}
		}
		m.rows[key] = row
	}
	return row, nil
}

// forget is called after each write of such a row, also when whether it was written is not known.
func (m *memory) forget() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	m.rows = nil
}
