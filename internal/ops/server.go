package ops

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"

	"piaohao/internal/gateway"
	"piaohao/internal/web/httpx"
)

const (
	maxRequest   = 4 << 10 // bytes of a body
	defaultLimit = 100     // of incidents
)

type peerKey struct{}

// NewServer answers at the socket for a gateway.
func NewServer(g *gateway.Gateway, log *slog.Logger) *http.Server {
	s := &server{gateway: g, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payments", s.payments)
	mux.HandleFunc("GET /incidents", s.incidents)
	mux.HandleFunc("POST /acts", s.operate)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("POST /keys", s.createKey)
	mux.HandleFunc("DELETE /keys/{id}", s.revokeKey)
	out := httpx.NewServer(s.guard(mux), log)
	out.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if uid, ok := peer(c); ok {
			ctx = context.WithValue(ctx, peerKey{}, uid)
		}
		return ctx
	}
	return out
}

type server struct {
	gateway *gateway.Gateway
	log     *slog.Logger
}

// guard lets in the user of this process and root, whatever the socket's mode came to be, and nothing that a browser sends
// through some forwarder (A91).
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, known := r.Context().Value(peerKey{}).(int)
		if !known || uid != os.Getuid() && uid != 0 || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			s.log.Warn("operator refused", "uid", uid, "known", known)
			answer(w, http.StatusForbidden, refusal{Code: "forbidden", Message: "only the user that the server runs as may ask here"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
	})
}

// desk acts for the user at the other end.
func (s *server) desk(r *http.Request) Desk {
	uid, _ := r.Context().Value(peerKey{}).(int)
	return Local{Gateway: s.gateway, By: User(uid)}
}

// User is how a user of the system is written down.
func User(uid int) string { return "uid " + strconv.Itoa(uid) }

func (s *server) payments(w http.ResponseWriter, r *http.Request) {
	all, err := s.desk(r).Timelines(r.Context(), r.URL.Query().Get("number"))
	s.reply(w, all, err)
}

func (s *server) incidents(w http.ResponseWriter, r *http.Request) {
	limit := defaultLimit
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			s.reply(w, nil, &gateway.Error{Code: gateway.CodeInvalid, Param: "limit", Public: "limit is a number"})
			return
		}
		limit = n
	}
	all, err := s.desk(r).Incidents(r.Context(), limit)
	s.reply(w, all, err)
}

func (s *server) operate(w http.ResponseWriter, r *http.Request) {
	var in gateway.Act
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.reply(w, nil, &gateway.Error{Code: gateway.CodeInvalid, Public: "the body is no JSON object of an act", Cause: err})
		return
	}
	t, err := s.desk(r).Operate(r.Context(), in)
	s.reply(w, t, err)
}

func (s *server) keys(w http.ResponseWriter, r *http.Request) {
	all, err := s.desk(r).Keys(r.Context())
	s.reply(w, all, err)
}

// wish is the body of POST /keys.
type wish struct {
	Shop string `json:"shop"`
	Name string `json:"name"`
}

func (s *server) createKey(w http.ResponseWriter, r *http.Request) {
	var in wish
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.reply(w, nil, &gateway.Error{Code: gateway.CodeInvalid, Public: "the body is no JSON object with shop and name", Cause: err})
		return
	}
	k, err := s.desk(r).CreateKey(r.Context(), in.Shop, in.Name)
	s.reply(w, k, err)
}

func (s *server) revokeKey(w http.ResponseWriter, r *http.Request) {
	k, err := s.desk(r).RevokeKey(r.Context(), r.PathValue("id"))
	s.reply(w, k, err)
}

// refusal is the JSON of an error.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

func (s *server) reply(w http.ResponseWriter, value any, err error) {
	e := gateway.Refusal(err)
	switch {
	case err == nil:
		answer(w, http.StatusOK, value)
	case e == nil:
		s.log.Error("operator's request failed", "cause", err)
		answer(w, http.StatusInternalServerError, refusal{
			Code: string(gateway.CodeInternal), Message: "the server failed; its log says why",
		})
	case e.Code == gateway.CodeNotFound:
		answer(w, http.StatusNotFound, refusal{string(e.Code), e.Public, e.Param})
	default:
		answer(w, http.StatusBadRequest, refusal{string(e.Code), e.Public, e.Param})
	}
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the other end may be gone
}
