package simplejwt_test

// difference is an answer that is not the recorded one, deliberately.
type difference struct {
	why string

	like   string // the answer is the recorded one of this other exchange; or:
	status int
	body   string

	tail bool // only what follows the dash differs
}

// Reasons for differences.
const (
	bothPaths   = "both forms of a path are served: a redirect would lose the body of a POST"
	noPages     = "there are no pages for people at these paths"
	ownParser   = "the text behind the dash is the JSON parser's own"
	neverSigned = "no such token is ever signed here, and all of them get one answer; the original fails at some"
	whose       = "whose a token is says its sub; the claim for the user is for other services. The original fails"
	forOthers   = "a token that is for or from somebody else is not ours"
	keyID       = "the kid names the key (RFC 7515, section 4.1.4)"
	kinds       = "tokens of other kinds are told apart by their typ (S52)"
	ended       = "ended tokens are refused, with what else was born from the same login"
	account     = "tokens end with their account; the original fails, or does not look"
	passwords   = "a changed password ends what the old one got (S27)"
	families    = "a used refresh token that comes back ends its family (S22)"
)

// differences lists all of them by the part and the name of the exchange.
// Beside these, every answer of ours forbids to be stored, names its key in the
// header of a token, and has "sub" and "sid" among its claims.
var differences = map[string]difference{
	"as installed: login without a slash": {why: bothPaths, status: 200, body: `{"refresh":"(a token)","access":"(a token)"}`},

	"as installed: login: malformed JSON": {why: ownParser, tail: true},

	"as installed: GET of login without a slash":           {why: bothPaths, status: 405, body: `{"detail":"Method \"GET\" not allowed."}`},
	"as installed: GET of refresh without a slash":         {why: bothPaths, status: 405, body: `{"detail":"Method \"GET\" not allowed."}`},
	"as installed: GET of verify without a slash":          {why: bothPaths, status: 405, body: `{"detail":"Method \"GET\" not allowed."}`},
	"as installed: GET of blacklist without a slash":       {why: bothPaths, status: 405, body: `{"detail":"Method \"GET\" not allowed."}`},
	"as installed: GET of sliding without a slash":         {why: bothPaths, status: 405, body: `{"detail":"Method \"GET\" not allowed."}`},
	"as installed: GET of sliding refresh without a slash": {why: bothPaths, status: 405, body: `{"detail":"Method \"GET\" not allowed."}`},

	"as installed: Accept text/html of a method that is not there":                                                       {why: noPages, like: "Accept application/json of a method that is not there"},
	"as installed: Accept text/html of a bad refresh":                                                                    {why: noPages, like: "Accept application/json of a bad refresh"},
	"as installed: Accept text/* of a method that is not there":                                                          {why: noPages, like: "Accept application/json of a method that is not there"},
	"as installed: Accept text/* of a bad refresh":                                                                       {why: noPages, like: "Accept application/json of a bad refresh"},
	"as installed: Accept text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8 of a method that is not there": {why: noPages, like: "Accept application/json of a method that is not there"},
	"as installed: Accept text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8 of a bad refresh":              {why: noPages, like: "Accept application/json of a bad refresh"},

	"as installed: refresh without a slash": {why: bothPaths, status: 200, body: `{"access":"(a token)"}`},

	"as installed: refresh: malformed JSON":         {why: ownParser, tail: true},
	"as installed: verify: malformed JSON":          {why: ownParser, tail: true},
	"as installed: blacklist: malformed JSON":       {why: ownParser, tail: true},
	"as installed: sliding refresh: malformed JSON": {why: ownParser, tail: true},

	"as installed: refresh: refresh without exp":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: refresh: refresh without jti":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: refresh: refresh without type":    {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: refresh: refresh of another type": {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: refresh: refresh without iat":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: refresh: refresh of no user":     {why: whose, status: 200, body: `{"access":"(a token)"}`},
	"as installed: refresh: refresh of an odd user": {why: whose, status: 200, body: `{"access":"(a token)"}`},

	"as installed: refresh: refresh with an audience": {why: forOthers, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: refresh: refresh with an issuer":   {why: forOthers, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: refresh: refresh with a kid": {why: keyID, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: refresh: refresh with another typ": {why: kinds, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: verify: access without exp":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: access without jti":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: access without type":    {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: access of another type": {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: access without iat":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: verify: access with an audience": {why: forOthers, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: access with an issuer":   {why: forOthers, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: verify: access with a kid": {why: keyID, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: verify: access with another typ": {why: kinds, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: sliding refresh: sliding without exp":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: sliding refresh: sliding without jti":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: sliding refresh: sliding without type":    {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: sliding refresh: sliding of another type": {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: sliding refresh: sliding without iat":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: sliding refresh: sliding with an audience": {why: forOthers, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: sliding refresh: sliding with an issuer":   {why: forOthers, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: sliding refresh: sliding with a kid": {why: keyID, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: sliding refresh: sliding with another typ": {why: kinds, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: sliding refresh: sliding without refresh_exp": {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: blacklist: refresh without exp":               {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: blacklist: refresh without jti":               {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: blacklist: refresh of another type":           {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: refresh without exp":                  {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"as installed: verify: sliding without exp":                  {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: verify: blacklisted":                           {why: ended, status: 400, body: `{"non_field_errors":["Token is blacklisted"]}`},
	"as installed: verify: the access token of a blacklisted one": {why: ended, status: 400, body: `{"non_field_errors":["Token is blacklisted"]}`},

	"as installed: refresh: blacklisted and of another type": {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},

	"as installed: blacklist without a slash": {why: bothPaths, status: 401, body: `{"detail":"Token is blacklisted","code":"token_not_valid"}`},

	"as installed: verify: access of a deactivated user":  {why: account, status: 400, body: `{"non_field_errors":["Token is blacklisted"]}`},
	"as installed: verify: refresh of a deactivated user": {why: account, status: 400, body: `{"non_field_errors":["Token is blacklisted"]}`},
	"as installed: sliding refresh: deactivated":          {why: account, status: 401, body: `{"detail":"No active account found for the given token."}`},

	"as installed: refresh: password changed": {why: passwords, status: 401, body: `{"detail":"Token is blacklisted","code":"token_not_valid"}`},
	"as installed: verify: password changed":  {why: passwords, status: 400, body: `{"non_field_errors":["Token is blacklisted"]}`},

	"as installed: refresh: deleted":                 {why: account, status: 401, body: `{"detail":"No active account found for the given token."}`},
	"as installed: verify: access of a deleted user": {why: account, status: 400, body: `{"non_field_errors":["Token is blacklisted"]}`},
	"as installed: sliding refresh: deleted":         {why: account, status: 401, body: `{"detail":"No active account found for the given token."}`},

	"as installed: sliding login without a slash": {why: bothPaths, status: 200, body: `{"token":"(a token)"}`},

	"rotating: the newest after reuse": {why: families, status: 401, body: `{"detail":"Token is blacklisted","code":"token_not_valid"}`},

	"other names: refresh: without id":      {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"other names: verify: without id":       {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"other names: refresh: without kind":    {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"other names: verify: without kind":     {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"other names: refresh: of another kind": {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
	"other names: verify: of another kind":  {why: neverSigned, status: 401, body: `{"detail":"Token is invalid","code":"token_not_valid"}`},
}
