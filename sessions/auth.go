package sessions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"tickover.dev/rooms"
)

// Authenticate turns the token of a hello into a player. It may do I/O; it is called on a goroutine of its own, with a deadline.
// Its error is told to the client.
type Authenticate func(ctx context.Context, token string) (rooms.Player, error)

// Guest takes everybody: the token is the name they would like. Each session is another player.
func Guest(_ context.Context, token string) (rooms.Player, error) {
	name := cleanName(token)
	if name == "" {
		name = "guest"
	}
	return rooms.Player{ID: "guest-" + newSecret()[:12], Name: name}, nil
}

// minKeyBytes is the least for HS256: a key shorter than the hash is easier to guess than to break (RFC 7518, section 3.2).
const minKeyBytes = 32

// HS256 takes JSON web tokens signed with a shared key of at least 32 bytes: "sub" is the player's id, "name" (optional) the name;
// "exp" is required, "nbf" and "iat" are checked if present, with 5 s of leeway.
func HS256(key []byte) (Authenticate, error) {
	if len(key) < minKeyBytes {
		return nil, fmt.Errorf("the key has %d bytes: HS256 wants at least %d", len(key), minKeyBytes)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(5*time.Second))
	return func(_ context.Context, token string) (rooms.Player, error) {
		var claims struct {
			jwt.RegisteredClaims
			Name string `json:"name"`
		}
		if _, err := parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
			return rooms.Player{}, err
		}
		id := claims.Subject
		if id == "" || len(id) > 64 {
			return rooms.Player{}, errors.New("token: sub must have 1 to 64 bytes")
		}
		name := cleanName(claims.Name)
		if name == "" {
			name = cleanName(id)
		}
		return rooms.Player{ID: id, Name: name}, nil
	}, nil
}

// maxNameRunes bounds a player's name: it is shown in every score board.
const maxNameRunes = 24

// cleanName makes a name that can be shown: printable, single spaces, not too long.
func cleanName(s string) string {
	s = strings.ToValidUTF8(clip(s, 8*maxNameRunes), "")
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	runes := []rune(strings.Join(strings.Fields(s), " "))
	return strings.TrimSpace(string(runes[:min(len(runes), maxNameRunes)]))
}
