package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// contract is openapi.yaml, read by another library.
var contract = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// asked is a request of a test. What is empty is left out; a body is JSON unless it says otherwise.
type asked struct {
	method, path, token, body, host, origin, contentType string
}

// answered is what came.
type answered struct {
	*http.Response
	body string
}

// ask does a request. The answer must be what openapi.yaml says, and so must a request that was not refused.
func (n *Node) ask(t *testing.T, q asked) answered {
	t.Helper()
	if q.method == "" {
		q.method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(t.Context(), q.method, "http://"+n.HTTPAddr().String()+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Close = q.host, true
	for name, value := range map[string]string{"Authorization": q.token, "Origin": q.origin, "Content-Type": q.contentType} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if q.body != "" && q.contentType == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	keeps(t, r, q.body, resp, body)
	return answered{resp, string(body)}
}

// keeps checks a request and its answer against openapi.yaml.
func keeps(t *testing.T, r *http.Request, sent string, resp *http.Response, body []byte) {
	t.Helper()
	router, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d is told as %s", r.Method, r.URL.Path, resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	about := r.Clone(t.Context())
	about.URL.Scheme, about.URL.Host, about.Host = "http", "localhost:7778", "localhost:7778" // of the file
	about.Body = io.NopCloser(strings.NewReader(sent))
	route, params, err := router.FindRoute(about)
	if err != nil {
		if resp.StatusCode != 404 && resp.StatusCode != 405 && r.Method != http.MethodOptions && r.Method != http.MethodHead {
			t.Errorf("%s %s: %d, and it is not described", r.Method, r.URL.Path, resp.StatusCode)
		}
		return
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	in := &openapi3filter.RequestValidationInput{Request: about, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil && resp.StatusCode < 400 {
		t.Errorf("%s %s is taken, and not described: %v", r.Method, r.URL, err)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s: %v\n%s", r.Method, r.URL, err, body)
	}
}

// is checks status and body.
func (a answered) is(t *testing.T, status int, body string) {
	t.Helper()
	if a.StatusCode != status || strings.TrimSpace(a.body) != body {
		t.Errorf("%s %s: %d %s, want %d %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status, body)
	}
}

// isProblem checks status, code and field.
func (a answered) isProblem(t *testing.T, status int, code, field string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Errorf("%s: %v", a.body, err)
	}
	if a.StatusCode != status || p.Status != status || p.Code != code || p.Field != field {
		t.Errorf("%s %s: %d %s, want %d %s %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status, code, field)
	}
	return p
}

// into reads the body.
func (a answered) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil || a.StatusCode != 200 {
		t.Fatalf("%s: %d %s: %v", a.Request.URL.Path, a.StatusCode, a.body, err)
	}
}

// A description that says less than is served, or more, is worse than none.
func TestTheAPIIsWhatItsDescriptionSays(t *testing.T) {
	if _, err := contract(); err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described = append(described, method+" "+path)
			if op.OperationID == "" || op.Summary == "" || op.Responses.Default() == nil {
				t.Errorf("%s %s: id, summary or default answer is missing", method, path)
			}
		}
	}
	for _, r := range routes() {
		served = append(served, r.method+" "+r.path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described %v\nserved    %v", described, served)
	}
	if info := doc.Components.Schemas["Problem"]; info == nil {
		t.Error("problems are not described")
	}
	n := start(t, nil)
	for _, r := range routes() { // the table is what is served
		path := strings.ReplaceAll(r.path, "{id}", "x")
		if got := n.ask(t, asked{method: http.MethodOptions, path: path}); got.StatusCode != 204 || !strings.Contains(got.Header.Get("Allow"), r.method) {
			t.Errorf("%s: %d, allows %q", path, got.StatusCode, got.Header.Get("Allow"))
		}
	}
	if got := n.ask(t, asked{path: "/v1/openapi.yaml"}); got.body != string(openAPI) || got.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %s", got.StatusCode, got.Header.Get("Content-Type"))
	}
}
