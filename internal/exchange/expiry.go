package exchange

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// unknownLife is assumed where the reply does not say how long a token lives:
// the shortest that the API gives (databricks-sdk-go service/postgres).
const unknownLife = 5 * time.Minute

// maxExpiresIn is the largest expires_in that is believed to be one.
const maxExpiresIn = 24 * time.Hour

// workspaceToken reads RFC 6749 5.1. Its expires_in may be a number or a string
// that holds one; where it is missing, not above zero or above a day, the life
// is that of the token's own claims, or else 5 minutes.
func workspaceToken(rep reply) (credential.Token, *Error) {
	var w struct {
		AccessToken string     `json:"access_token"`
		TokenType   string     `json:"token_type"`
		ExpiresIn   flexString `json:"expires_in"`
	}
	if e := decode(rep.body, &w); e != nil {
		return credential.Token{}, e
	}
	if why := badToken(w.AccessToken); why != "" {
		return credential.Token{}, &Error{Kind: KindBadReply, Message: "its access_token " + why}
	}
	if w.TokenType != "" && !strings.EqualFold(w.TokenType, "Bearer") {
		return credential.Token{}, &Error{Kind: KindBadReply, Message: "its token_type is not Bearer"}
	}
	life := seconds(string(w.ExpiresIn))
	if life == 0 {
		life = claimedLife(w.AccessToken)
	}
	return newToken(w.AccessToken, rep.sentAt, life), nil
}

// databaseToken reads a reply of /api/2.0/postgres/credentials, or of
// /api/2.0/database/credentials, which calls it expiration_time. The life is
// expire_time less the server's Date, so that our clock and theirs may differ;
// without a Date it is expire_time less our clock at sending. A life that
// neither tells is that of the token's own claims, or else 5 minutes.
func databaseToken(rep reply) (credential.Token, *Error) {
	var w struct {
		Token          string     `json:"token"`
		ExpireTime     flexString `json:"expire_time"`
		ExpirationTime flexString `json:"expiration_time"`
	}
	if e := decode(rep.body, &w); e != nil {
		return credential.Token{}, e
	}
	if why := badToken(w.Token); why != "" {
		return credential.Token{}, &Error{Kind: KindBadReply, Message: "its token " + why}
	}
	if w.ExpireTime == "" {
		w.ExpireTime = w.ExpirationTime
	}
	var life time.Duration
	if expires, err := time.Parse(time.RFC3339, string(w.ExpireTime)); err == nil {
		if rep.date.IsZero() {
			life = expires.Sub(rep.sentAt) // if that is past, our clock may be wrong
		} else if life = expires.Sub(rep.date); life <= 0 {
			return credential.Token{}, &Error{Kind: KindBadReply, Message: "its expire_time has passed by the server's own clock"}
		}
	}
	if life <= 0 {
		life = claimedLife(w.Token)
	}
	return newToken(w.Token, rep.sentAt, life), nil
}

// newToken counts life from sentAt: the server minted later than that, so the
// token never ends sooner than ExpiresAt.
func newToken(value string, sentAt time.Time, life time.Duration) credential.Token {
	if life <= 0 {
		life = unknownLife
	}
	return credential.Token{
		Value:     credential.NewSecret(value),
		MintedAt:  sentAt,
		ExpiresAt: sentAt.Add(min(life, credential.MaxLife)),
	}
}

// seconds reads expires_in; 0 means that it says nothing that can be believed.
func seconds(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || n < 1 || n > maxExpiresIn.Seconds() {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// claimedLife is exp less iat of a JWT whose signature nobody has checked: a
// hint, and 0 where there is none. It can only shorten what MaxLife allows.
func claimedLife(token string) time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0
	}
	var claims struct{ Exp, Iat float64 }
	if json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 || claims.Iat <= 0 {
		return 0
	}
	life := claims.Exp - claims.Iat
	if life < 1 {
		return 0
	}
	return time.Duration(min(life, credential.MaxLife.Seconds()) * float64(time.Second))
}
