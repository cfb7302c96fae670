package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// problem is an error as HTTP clients are told it (RFC 9457, of type about:blank), and an error in Go. Code is what programs go by;
// Detail is for people.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"` // of the path or the query, a header, or of the body as #/field

	Refusal string          `json:"refusal,omitempty"` // code "refused": the game's own code
	Why     string          `json:"why,omitempty"`     // code "room_ended": how the room ended,
	Result  json.RawMessage `json:"result,omitempty"`  // and its result, if it has one

	retryAfter int // seconds; 0: trying again is of no use
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// wrong is a problem with one field of a request.
func wrong(field, detail string) *problem {
	return &problem{Status: http.StatusBadRequest, Code: "bad_request", Field: field, Detail: detail}
}

// refuse answers a request with what is wrong.
func (a *api) refuse(w http.ResponseWriter, path string, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		a.node.log.Error("http request", "path", path, "error", err)
		p = &problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "internal error"}
	}
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		a.node.log.Error("http problem", "path", path, "error", err) // a result that is no JSON
		p.Result = nil
		body, _ = json.Marshal(p)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	a.write(w, path, p.Status, document{"application/problem+json", append(body, '\n')})
}
