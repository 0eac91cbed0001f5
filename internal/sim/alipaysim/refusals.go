package alipaysim

import (
	"net/http"
	"sync"
	"time"
)

// maxRefusals is how many of the latest refusals are kept.
const maxRefusals = 200

// refused is one refusal as GET /sim/alipay/errors shows it. On browser
// products the platform tells nobody but the payer, so this log is the only
// place where a developer sees what was wrong.
type refused struct {
	Time    time.Time `json:"time"` // wall
	Method  string    `json:"method"`
	AppID   string    `json:"app_id"`
	Code    string    `json:"code"`
	SubCode string    `json:"sub_code"`
	SubMsg  string    `json:"sub_msg"`
}

// refusalLog keeps the latest refusals, oldest first.
type refusalLog struct {
	mu   sync.Mutex
	list []refused
}

func (l *refusalLog) add(now time.Time, raw params, f *failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == maxRefusals {
		l.list = append(l.list[:0], l.list[1:]...)
	}
	l.list = append(l.list, refused{
		Time: now.UTC(), Method: raw["method"], AppID: raw["app_id"], Code: f.code, SubCode: f.subCode, SubMsg: f.subMsg(),
	})
}

func (l *refusalLog) latest() []refused {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]refused{}, l.list...)
}

func (s *Sim) serveRefusals(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, s.refusals.latest())
}
