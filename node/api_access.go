package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// This file is who may use the HTTP API.
//
//	                         listings   a player's record   signals
//	nobody in particular     guests     open                open         open: neither tokens nor a key are configured
//	a player, by token       yes        the own            no
//	the API key              yes        any                 yes

// need is what a route asks of its caller.
type need uint8

const (
	needNothing need = iota
	needReader       // guests, or anybody with a token
	needSelf         // the player that the path names
	needKey
)

// access decides. Any goroutine may use it.
type access struct {
	key          [sha256.Size]byte     // of the API key
	hasKey       bool                  //
	authenticate sessions.Authenticate // nil: everybody is a guest
	calls        chan struct{}         // holds one for each call of authenticate under way
	log          *slog.Logger
}

const (
	minAPIKeyBytes = 32
	maxTokenChecks = 8
	checkWithin    = 5 * time.Second
)

// apiKey gives the key of the HTTP API, nil if there is none, or everything that is wrong with it.
func (c *Config) apiKey() ([]byte, error) {
	flag, key := "--api-key", []byte(c.APIKey)
	if c.APIKeyFile != "" {
		b, err := os.ReadFile(c.APIKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--api-key-file: %w", err)
		}
		if len(key) > 0 {
			return nil, errors.New("--api-key-file: there is an --api-key already")
		}
		flag, key = "--api-key-file", bytes.TrimSpace(b)
	}
	if len(key) < minAPIKeyBytes && (len(key) > 0 || c.APIKeyFile != "") {
		return nil, fmt.Errorf("%s: the key has %d bytes: want at least %d", flag, len(key), minAPIKeyBytes)
	}
	if bytes.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%s: want printable ASCII without spaces: it is sent in a header", flag)
	}
	return key, nil
}

// newAccess makes what decides for a node whose configuration is valid.
func newAccess(c *Config, auth sessions.Authenticate, log *slog.Logger) (*access, error) {
	key, err := c.apiKey()
	if err != nil {
		return nil, err
	}
	a := &access{key: sha256.Sum256(key), hasKey: len(key) > 0, calls: make(chan struct{}, maxTokenChecks), log: log}
	if !c.guests() {
		a.authenticate = auth
	}
	return a, nil
}

// open reports whether everybody may do everything.
func (a *access) open() bool { return a.authenticate == nil && !a.hasKey }

var (
	errNoToken   = &problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "this asks for a header Authorization: Bearer TOKEN"}
	errForbidden = &problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "this asks for the API key of the node, see --api-key-file"}
)

// admit reports why a request may not be done, as a *problem, or nil.
func (a *access) admit(r *http.Request, n need) error {
	if n == needNothing || a.open() {
		return nil
	}
	token, err := bearer(r)
	switch {
	case err != nil:
		return err
	case token == "" && n == needReader && a.authenticate == nil: // guests see what there is to play
		return nil
	case token == "":
		p := *errNoToken
		return &p
	case a.isKey(token):
		return nil
	}
	player, err := a.player(r.Context(), token)
	if err != nil {
		return err
	}
	if n == needKey || n == needSelf && player.ID != r.PathValue("id") {
		p := *errForbidden
		return &p
	}
	return nil
}

// bearer gives the token of a request, "" if there is none.
func bearer(r *http.Request) (string, error) {
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	if header != "" && (!strings.EqualFold(scheme, "Bearer") || token == "") {
		p := *errNoToken
		return "", &p
	}
	return strings.TrimSpace(token), nil
}

// isKey compares hashes: that takes as long for any token.
func (a *access) isKey(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return a.hasKey && subtle.ConstantTimeCompare(sum[:], a.key[:]) == 1
}

// player asks whose token it is, so many at once and no more.
func (a *access) player(ctx context.Context, token string) (p rooms.Player, err error) {
	if a.authenticate == nil {
		return p, &problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "this is not the API key of the node"}
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	slow := &problem{Status: http.StatusServiceUnavailable, Code: "overloaded", Detail: "checking the token takes too long: try again", retryAfter: 1}
	select {
	case a.calls <- struct{}{}:
	case <-ctx.Done():
		return p, slow
	}
	defer func() { <-a.calls }()
	defer func() {
		if r := recover(); r != nil {
			a.log.Error("Authenticate panicked", "error", r)
			err = &problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "internal error"}
		}
	}()
	p, err = a.authenticate(ctx, token)
	switch {
	case err != nil && ctx.Err() != nil:
		return p, slow
	case err != nil:
		return p, &problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: err.Error()}
	}
	return p, nil
}
