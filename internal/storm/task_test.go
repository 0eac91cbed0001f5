package storm

import (
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing/synctest"
	"time"
)

// task is one coroutine: a request, a step of a node, a notice on its way.
type task struct {
	name   string
	node   *node     // whose death ends it; nil: a platform
	frozen time.Time // stands still until then
	next   func() (string, bool)
	yield  func(string) bool
}

// crash unwinds the tasks of a dead node.
type crash struct{}

// start makes a task of f. It runs when the storm chooses it.
func (s *storm) start(name string, n *node, f func(), done func()) {
	s.count++
	t := &task{name: fmt.Sprintf("%s#%d", name, s.count), node: n}
	t.next, _ = iter.Pull(func(yield func(string) bool) {
		t.yield = yield
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(crash); !ok {
					s.breaks("I-19", "%s panicked: %v\n%s", t.name, r, debug.Stack())
				}
				s.note(t.name, "died")
			}
		}()
		f()
	})
	s.tasks = append(s.tasks, &running{task: t, done: done})
}

type running struct {
	*task
	done func() // the storm's own book-keeping at the task's end, however it ended
}

// resume lets t go on to its next pause.
func (s *storm) resume(t *running) {
	if now := s.now(); !now.Equal(s.settled) {
		synctest.Wait() // deadlines that ended by now have fired
		s.settled = now
	}
	s.steps++
	s.cur = t.task
	at, alive := t.next()
	s.cur = nil
	if alive {
		s.note(t.name, at)
		return
	}
	s.note(t.name, "end")
	for i := range s.tasks {
		if s.tasks[i] == t {
			s.tasks = append(s.tasks[:i], s.tasks[i+1:]...)
			break
		}
	}
	t.done()
}

// pause is where another task may go on. Outside of tasks it is nothing.
func (s *storm) pause(at string) {
	t := s.cur
	if t == nil {
		return
	}
	t.frozen = time.Time{}
	if s.chance(s.faults.freeze) {
		t.frozen = s.now().Add(s.between(time.Second, time.Minute))
		at += " frozen"
	}
	t.yield(at)
	if t.node != nil && t.node.dead {
		panic(crash{})
	}
}

// on runs f as a part of the current task that dies with n, and reports whether n lived through it.
func (s *storm) on(n *node, f func()) (lived bool) {
	t := s.cur
	before := t.node
	t.node = n
	defer func() {
		t.node = before
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok || before != nil && before.dead {
				panic(r)
			}
			lived = false
		}
	}()
	f()
	return true
}

// kill ends a node between two pauses and starts another one on the same database. What the dead one held ends with
// its leases.
func (s *storm) kill(i int) {
	n := s.nodes[i]
	s.note(n.name, "killed")
	n.dead = true
	for again := true; again; {
		again = false
		for _, t := range s.tasks {
			if t.node == n {
				s.resume(t)
				again = true
				break
			}
		}
	}
	s.nodes[i] = s.newNode(i)
}

// turn does one thing that can be done now, or moves the clock to the next. false: nothing is left to do, ever.
func (s *storm) turn() bool {
	now := s.now()
	var can []func()
	for _, t := range s.tasks {
		if !t.frozen.After(now) {
			can = append(can, func() { s.resume(t) })
		}
	}
	next := s.actionsDue(now, &can)
	next = sooner(next, s.stepsDue(now, &can))
	if len(can) > 0 && !s.chance(s.faults.tick) {
		can[s.rand.IntN(len(can))]()
		return true
	}
	if len(can) > 0 {
		s.sleep(s.between(time.Millisecond, 3*time.Second))
		return true
	}
	for _, t := range s.tasks {
		next = sooner(next, t.frozen)
	}
	if next.IsZero() {
		return false
	}
	s.sleep(max(next.Sub(now), time.Millisecond))
	return true
}

func (s *storm) sleep(d time.Duration) {
	<-time.After(d.Truncate(time.Millisecond) + time.Millisecond) // the bubble's time: it costs none of ours
	s.dirty = true
}

func (s *storm) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// clock is the clock that nodes and store are handed.
func (s *storm) clock() time.Time {
	if s.cur != nil {
		_, file, line, _ := runtime.Caller(1)
		s.pause(fmt.Sprintf("%s:%d", filepath.Base(file), line))
		if n := s.cur.node; n != nil {
			return s.now().Add(n.skew)
		}
	}
	return s.now()
}

func (s *storm) chance(percent float64) bool {
	return percent > 0 && s.rand.Float64()*100 < percent
}

func (s *storm) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(s.rand.Int64N(int64(most-least)+1))).Truncate(time.Millisecond)
}

// sooner is the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
