package securitydoc

// Why something is not there, where several statements share the reason.
const (
	noOAuth         = "there is no OAuth authorization or token endpoint in this version"
	noDevices       = "there is no device flow in this version"
	noExchange      = "there is no token exchange and no federation in this version"
	noIntrospection = "there is no OAuth revocation endpoint in this version, and no metadata"
	noBinding       = "there are no DPoP-bound or certificate-bound tokens in this version"
	noConsole       = "there is no web console and no browser session in this version"
	noFactors       = "there is no second factor in this version"
)

// Chapters returns all statements. They are a checklist of what is known to go
// wrong in servers of this kind; the numbers are for tests and commits and never
// change.
func Chapters() []Chapter {
	return []Chapter{
		{"Authorization and token endpoints", []Statement{
			{ID: "S01", Text: "A redirect goes only to an address that is registered, to the byte; a loopback address may differ in its port.", Absent: noOAuth},
			{ID: "S02", Text: "A wrong client or redirect address gets an error page, never a redirect.", Absent: noOAuth},
			{ID: "S03", Text: "Every code needs PKCE with SHA-256 and a verifier of the right form.", Absent: noOAuth},
			{ID: "S04", Text: "A verifier without a challenge before it is refused.", Absent: noOAuth},
			{ID: "S05", Text: "Of many who redeem a code at once, one succeeds.", Absent: noOAuth},
			{ID: "S06", Text: "Redeeming a code twice ends what the first time gave.", Absent: noOAuth},
			{ID: "S07", Text: "A code lives a minute and belongs to one client, address, challenge and key; any mismatch burns it.", Absent: noOAuth},
			{ID: "S08", Text: "Authorization answers name their issuer.", Absent: noOAuth},
			{ID: "S09", Text: "There is neither an implicit nor a password grant, and clients have lists of what they may use.", Absent: noOAuth},
			{ID: "S10", Text: "A redirect after a form with a credential does not repeat the form.", Absent: noOAuth},
			{ID: "S11", Text: "Login and consent pages cannot be framed, send no referrer and load nothing from elsewhere.", Absent: noConsole},
			{ID: "S12", Text: "Token endpoints take bounded POST forms, each parameter once, and no credential from the query."},
			{ID: "S13", Text: "No cache may keep an answer that has a token in it."},
			{ID: "S14", Text: "A client authenticates in one way per request.", Absent: noOAuth},
			{ID: "S15", Text: "Unknown, wrong and disabled clients get the same answer."},
			{ID: "S16", Text: "A client that failed to authenticate by a header is told how to."},
			{ID: "S17", Text: "Assertions of clients are for us alone, short, and used once.", Absent: noOAuth},
			{ID: "S18", Text: "Scopes that are granted are within what was asked, what the client may and what the user may.", Absent: noOAuth},
			{ID: "S19", Text: "Other origins may read only what is meant for them.", Absent: noOAuth},
			{ID: "S20", Text: "A page of another origin cannot use credentials that a browser adds."},
		}},
		{"Refresh tokens", []Statement{
			{ID: "S21", Text: "Of many who refresh at once, one set of successors comes out."},
			{ID: "S22", Text: "Using a spent refresh token ends its family, and the audit log says so; the owner gets no mail yet."},
			{ID: "S23", Text: "Within a leeway a retry gets the same successor, a few times, for the same client."},
			{ID: "S24", Text: "A refresh token is of use to its client alone."},
			{ID: "S25", Text: "Families end, however often they are refreshed."},
			{ID: "S26", Text: "Scope shrinks at a refresh and never grows."},
			{ID: "S27", Text: "A new password, disabling or withdrawn consent ends all families."},
			{ID: "S28", Text: "That a refresh token is spent is durable and known to all nodes."},
			{ID: "S29", Text: "Deleting an account and making one of the same name revives no token."},
		}},
		{"Device flow", []Statement{
			{ID: "S30", Text: "User codes cannot be guessed and are compared as people type them.", Absent: noDevices},
			{ID: "S31", Text: "Device codes are random, hashed and used once.", Absent: noDevices},
			{ID: "S32", Text: "Polling too fast slows down; ends are final.", Absent: noDevices},
			{ID: "S33", Text: "The approval page says who asks for what, and asks.", Absent: noDevices},
			{ID: "S34", Text: "A code that was decided cannot be decided again.", Absent: noDevices},
		}},
		{"Token exchange and delegation", []Statement{
			{ID: "S35", Text: "The token that is exchanged is live and meant for the caller.", Absent: noExchange},
			{ID: "S36", Text: "What comes out is narrower and shorter.", Absent: noExchange},
			{ID: "S37", Text: "Delegation names all actors, and impersonation needs a right and a reason.", Absent: noExchange},
			{ID: "S38", Text: "Kinds of token cannot stand in for each other."},
			{ID: "S39", Text: "A kind that cannot be issued is refused.", Absent: noExchange},
			{ID: "S40", Text: "Identities of CI systems are matched exactly and used once.", Absent: noExchange},
		}},
		{"Introspection, revocation, metadata", []Statement{
			{ID: "S41", Text: "Whoever asks about tokens authenticates, and learns nothing without the right to."},
			{ID: "S42", Text: "A token that does not count gives one answer, whatever the reason."},
			{ID: "S43", Text: "A caller learns of tokens for its own audience alone."},
			{ID: "S44", Text: "A wrong hint about the kind of token changes nothing."},
			{ID: "S45", Text: "Revoking what is unknown succeeds, and what is another client's is never done.", Absent: noIntrospection},
			{ID: "S46", Text: "A revocation that could not be stored is 503, not a success."},
			{ID: "S47", Text: "Revoking a grant ends what came from it."},
			{ID: "S48", Text: "The metadata are exact: what they say works, and nothing else does.", Absent: noIntrospection},
			{ID: "S49", Text: "Published keys have no private part, and caches let go of them in time."},
		}},
		{"Signed tokens", []Statement{
			{ID: "S50", Text: "The algorithm is the key's; a token cannot choose it."},
			{ID: "S51", Text: "Keys in or behind headers of a token are ignored, and extensions that are not understood refuse it."},
			{ID: "S52", Text: "All claims of a kind of token are there, and kinds cannot be mixed up."},
			{ID: "S53", Text: "Times are whole numbers within one small leeway, and an end is needed."},
			{ID: "S54", Text: "One encoding counts: no duplicate members, no trailing data, no padding, no second spelling."},
			{ID: "S55", Text: "What is too long or has the wrong number of parts is refused before it is decoded."},
			{ID: "S56", Text: "A key's id is looked up and used for nothing else."},
			{ID: "S57", Text: "Weak and mismatched keys are refused when loaded."},
			{ID: "S58", Text: "Keys are published before use, kept until what they signed has ended, and can be withdrawn at once."},
			{ID: "S59", Text: "The Wycheproof vectors pass."},
			{ID: "S60", Text: "No code that decrypts JWE is in the binary."},
			{ID: "S61", Text: "All that parses outside bytes is fuzzed, with seeds in the repository.", Note: "DPoP proofs are not parsed in this version"},
		}},
		{"Use of tokens", []Statement{
			{ID: "S62", Text: "A token comes in the Authorization header, once; nothing else is a credential."},
			{ID: "S63", Text: "401 and 403 carry the right challenge, and none with an error where there was no token."},
			{ID: "S64", Text: "DPoP proofs are checked in all parts and used once.", Absent: noBinding},
			{ID: "S65", Text: "A bound token cannot be used as an unbound one.", Absent: noBinding},
			{ID: "S66", Text: "Refresh tokens stay bound to their key.", Absent: noBinding},
			{ID: "S67", Text: "Certificate-bound tokens go by the peer's certificate.", Absent: noBinding},
		}},
		{"Tokens at rest, secrets", []Statement{
			{ID: "S68", Text: "A token has 160 random bits, and any change to it at any position makes it none."},
			{ID: "S69", Text: "No secret is in the database, a backup, a log, an error or a metric."},
			{ID: "S70", Text: "The server's secret can be rotated; old tokens live on until it is taken away."},
			{ID: "S71", Text: "Nothing empty ever matches."},
			{ID: "S72", Text: "Secrets are found by hash, compared in constant time, and a missing account costs the same work."},
			{ID: "S73", Text: "There is no default password or key: the first start makes them or refuses."},
			{ID: "S74", Text: "A secret is shown once, at creation, and to nobody later."},
			{ID: "S75", Text: "Cursors are sealed for one list, one caller and one set of filters."},
			{ID: "S76", Text: "Files with secrets are for their owner alone, and errors do not repeat what is in them."},
		}},
		{"Authorisation", []Statement{
			{ID: "S77", Text: "Every route says in one table what it needs, and a walk over the table checks it."},
			{ID: "S78", Text: "No credential makes one that reaches further than itself."},
			{ID: "S79", Text: "A restriction holds at every door to the same thing."},
			{ID: "S80", Text: "A genuine token is not enough: its scope is checked at each door."},
			{ID: "S81", Text: "Patterns are anchored, match decoded and cleaned names, and no spelling widens them."},
			{ID: "S82", Text: "Other people's things look like things that do not exist."},
			{ID: "S83", Text: "A right that is taken away is gone at the next check, within the bound."},
			{ID: "S84", Text: "Networks are compared with the real peer, and with what listed proxies say of it."},
		}},
		{"Forward-auth and the gateway", []Statement{
			{ID: "S85", Text: "Forwarded headers count from listed proxies only; nobody is listed by default."},
			{ID: "S86", Text: "Every spelling of an identity header that a client sends is removed."},
			{ID: "S87", Text: "What needs no credential is decided by the cleaned path alone."},
			{ID: "S88", Text: "A request that is not described, or in two ways, is refused."},
			{ID: "S89", Text: "Errors, panics, timeouts and missing stores never let anybody through."},
			{ID: "S90", Text: "Requests that servers could read in two ways are refused, and hop-by-hop headers end here."},
			{ID: "S91", Text: "Redirects after a login stay on registered origins.", Note: "there is no login page in this version; no answer of a door leads elsewhere"},
			{ID: "S92", Text: "The signed identity is for one upstream and lives a minute at most."},
			{ID: "S93", Text: "E-mail addresses and groups are matched exactly, and odd ones match nothing.", Note: "no rule goes by an e-mail address in this version"},
		}},
		{"Registry realm", []Statement{
			{ID: "S94", Text: "Access is what was asked for and is allowed; what is unknown grants nothing."},
			{ID: "S95", Text: "The grammar of scopes is read as the specification says."},
			{ID: "S96", Text: "The audience is a known service, and nobody gets more than the public."},
			{ID: "S97", Text: "Tokens live minutes and end with what they came from."},
			{ID: "S98", Text: "The account must be that of the credential."},
		}},
		{"Login and abuse", []Statement{
			{ID: "S99", Text: "Failed logins are throttled in bounded memory, over restarts, without locking out an owner at a known address."},
			{ID: "S100", Text: "A login that fails tells nothing by its text, its code or its work.", Note: "work is counted, not measured: the same number of hash computations"},
			{ID: "S101", Text: "Passwords may be long and of any characters, none is truncated, and common ones are refused offline."},
			{ID: "S102", Text: "Sessions change their id, end, and have strict cookies.", Absent: noConsole},
			{ID: "S103", Text: "One-time codes work once.", Absent: noFactors},
			{ID: "S104", Text: "WebAuthn answers are checked in all parts.", Absent: noFactors},
			{ID: "S105", Text: "Dangerous changes ask for a recent factor.", Absent: noFactors},
			{ID: "S106", Text: "Accounts of other providers are keyed by issuer and subject.", Absent: "there is no OpenID Connect in this version; accounts of password sources are keyed by source and subject (S29)"},
			{ID: "S107", Text: "LDAP is asked safely.", Absent: "there is no LDAP source in this version"},
			{ID: "S108", Text: "Users see their sessions and are told of changes by mail.", Absent: noConsole},
		}},
		{"Logs, errors, operation", []Statement{
			{ID: "S109", Text: "Every decision has an event that says who, what, when, where and why, without a secret."},
			{ID: "S110", Text: "Nothing that a client sends breaks a line of a log or a header."},
			{ID: "S111", Text: "The audit log is chained: an edit, a gap or a cut is found."},
			{ID: "S112", Text: "Errors tell nothing of the inside, and debugging has no place on the public listener."},
			{ID: "S113", Text: "Outbound calls go where the operator said, follow no redirect elsewhere, and are bounded."},
			{ID: "S114", Text: "Full disks, read-only and missing databases, killed processes and clocks that jump open no door."},
			{ID: "S115", Text: "Restoring a backup revives nothing that was revoked since, unless somebody says so."},
			{ID: "S116", Text: "Known vulnerabilities are looked for, and only administrators learn the build."},
		}},
	}
}
