package metrics

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/counter"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/store/watched"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// topic is some families that belong together in the reference.
type topic struct {
	title    string
	families []family
}

// table is all metrics of our own.
func table() []topic {
	return []topic{
		{"Requests", requestFamilies()},
		{"Checks of tokens", checkFamilies()},
		{"Tokens", tokenFamilies()},
		{"Passwords and logins", passwordFamilies()},
		{"The gateway's upstreams", upstreamFamilies()},
		{"The store", storeFamilies()},
		{"The audit log", auditFamilies()},
		{"The server itself", serverFamilies()},
	}
}

func doorLabel() label {
	var names []string
	for _, d := range Doors() {
		names = append(names, d.String())
	}
	return label{"door", names}
}

func classLabel() label { return label{"code", counter.Classes()} }

func requestFamilies() []family {
	doors := []label{doorLabel()}
	each := func(read func(name string, r *counter.Requests, to sink)) func(*Metrics, sink) {
		return func(m *Metrics, to sink) {
			for _, d := range Doors() {
				read(d.String(), m.Door(d), to)
			}
		}
	}
	return []family{
		{"latchkey_requests_total", counting, "Requests that ended, by the part of the server that answered and the class of the status. The code none stands for a connection that was cut, by either side.",
			append(doors, classLabel()), each(func(name string, r *counter.Requests, to sink) { byClass(r, to, name) })},
		{"latchkey_request_duration_seconds", histogram, "How long requests took, bodies in both directions included.",
			doors, each(func(name string, r *counter.Requests, to sink) { to.histogram(r.Took(), float64(time.Second), name) })},
		{"latchkey_requests_in_flight", gauge, "Requests that are under way.",
			doors, each(func(name string, r *counter.Requests, to sink) { to.value(float64(r.UnderWay()), name) })},
	}
}

func byClass(r *counter.Requests, to sink, name string) {
	for i, n := range r.ByClass() {
		to.value(float64(n), name, counter.Classes()[i])
	}
}

func upstreamFamilies() []family {
	routes := []label{{"route", nil}}
	each := func(read func(name string, r *counter.Requests, to sink)) func(*Metrics, sink) {
		return func(m *Metrics, to sink) {
			for _, name := range m.routeNames() {
				read(name, m.Route(name), to)
			}
		}
	}
	return []family{
		{"latchkey_upstream_requests_total", counting, "Requests that were passed on, by route and the class of the upstream's status. The code none stands for no answer: it cannot be reached, takes too long, or the client gave up.",
			append(routes, classLabel()), each(func(name string, r *counter.Requests, to sink) { byClass(r, to, name) })},
		{"latchkey_upstream_duration_seconds", histogram, "How long upstreams took until the head of their answer was there, or until there was none.",
			routes, each(func(name string, r *counter.Requests, to sink) { to.histogram(r.Took(), float64(time.Second), name) })},
		{"latchkey_upstream_in_flight", gauge, "Requests whose upstream has not begun to answer.",
			routes, each(func(name string, r *counter.Requests, to sink) { to.value(float64(r.UnderWay()), name) })},
	}
}

// ofTokens is the reader of a number that the core counts.
func ofTokens(read func(tokens.Stats) float64) func(*Metrics, sink) {
	return one(func(m *Metrics) (float64, bool) {
		if m.from().Tokens == nil {
			return 0, false
		}
		return read(m.from().Tokens()), true
	})
}

func checkFamilies() []family {
	return []family{
		{"latchkey_checks_total", counting, "Checks of tokens, by result and by where the answer came from: the form of what was presented alone, the cache, the database, or a cache that is older than the bound (check.stale_for). The result unavailable is no answer: the database could not be asked.",
			[]label{{"result", tokens.Results()}, {"from", tokens.Places()}}, func(m *Metrics, to sink) {
				if m.from().Tokens != nil {
					grid(m.from().Tokens().Checks, tokens.Results(), tokens.Places(), to)
				}
			}},
		{"latchkey_cache_entries", gauge, "Tokens in memory, those included that were changed since and will be read anew.",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.CacheEntries) })},
		{"latchkey_cache_capacity", gauge, "Tokens that memory has room for (check.cache_entries).",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.CacheMost) })},
		{"latchkey_cache_evictions_total", counting, "Tokens that had to leave memory for others although nothing was wrong with them.",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.Evicted) })},
		{"latchkey_cache_invalidations_total", counting, "Changes that made something in memory out of date.",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.Invalidated) })},
		{"latchkey_unknown_tokens", gauge, "Well-formed tokens that are remembered for a moment for not being there.",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.Unknown) })},
		{"latchkey_last_uses_waiting", gauge, "Last uses of tokens that are not written yet.",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.UsesWaiting) })},
		{"latchkey_change_log_position", gauge, "The number of the last change that this node has read. On nodes that share a database it is the same when all are up to date.",
			nil, ofTokens(func(s tokens.Stats) float64 { return float64(s.Position) })},
		{"latchkey_change_log_lag_seconds", gauge, "How long ago the change log was last read to its end. -1: never.",
			nil, ofTokens(lag)},
		{"latchkey_change_log_fresh", gauge, "1 while the lag is within check.bound, so that memory is trusted; 0 while each check asks the database.",
			nil, ofTokens(func(s tokens.Stats) float64 { return truth(s.Lag >= 0 && s.Lag <= s.Bound) })},
	}
}

func lag(s tokens.Stats) float64 {
	if s.Lag < 0 {
		return -1
	}
	return s.Lag.Seconds()
}

// grid emits counts that have two labels.
func grid(counts [][]int64, rows, columns []string, to sink) {
	for i, row := range counts {
		for j, n := range row {
			to.value(float64(n), rows[i], columns[j])
		}
	}
}

func tokenFamilies() []family {
	return []family{
		{"latchkey_tokens_total", counting, "Tokens that were issued, rotated and revoked on this node, by class. Those that ended together with all others of their account count as class all; those that expire are not counted.",
			[]label{{"event", tokens.Events()}, {"class", tokens.Classes()}}, func(m *Metrics, to sink) {
				if m.from().Tokens != nil {
					grid(m.from().Tokens().Tokens, tokens.Events(), tokens.Classes(), to)
				}
			}},
	}
}

// ofPool is the reader of a number that the pool for passwords counts.
func ofPool(read func(password.Stats) float64) func(*Metrics, sink) {
	return one(func(m *Metrics) (float64, bool) {
		if m.from().Passwords == nil {
			return 0, false
		}
		return read(m.from().Passwords()), true
	})
}

// ofThrottle is the reader of a number that the throttle counts.
func ofThrottle(m *Metrics, read func(throttle.Stats)) {
	if m.from().Throttle != nil {
		read(m.from().Throttle())
	}
}

func passwordFamilies() []family {
	return []family{
		{"latchkey_logins_total", counting, "Logins with a password, by outcome. throttled: too many have failed; unavailable: a source of passwords or the database could not be asked.",
			[]label{{"outcome", accounts.LoginOutcomes()}}, func(m *Metrics, to sink) {
				if m.from().Logins == nil {
					return
				}
				for i, n := range m.from().Logins() {
					to.value(float64(n), accounts.LoginOutcomes()[i])
				}
			}},
		{"latchkey_password_hashes_running", gauge, "Passwords that are being hashed.",
			nil, ofPool(func(s password.Stats) float64 { return float64(s.Running) })},
		{"latchkey_password_queue", gauge, "Callers that wait to have a password hashed.",
			nil, ofPool(func(s password.Stats) float64 { return float64(s.Waiting) })},
		{"latchkey_password_queue_refused_total", counting, "Callers that were told to come back later because the queue was full (passwords.queue).",
			nil, ofPool(func(s password.Stats) float64 { return float64(s.Refused) })},
		{"latchkey_password_queue_abandoned_total", counting, "Callers that were gone before it was their turn.",
			nil, ofPool(func(s password.Stats) float64 { return float64(s.GaveUp) })},
		{"latchkey_password_queue_wait_seconds", summary, "How many passwords were hashed, and how long they waited for it.",
			nil, func(m *Metrics, to sink) {
				if m.from().Passwords != nil {
					s := m.from().Passwords()
					to.summary(uint64(s.Entered), s.Waited.Seconds())
				}
			}},
		{"latchkey_throttle_refusals_total", counting, "Logins that were refused because too many have failed, from the address or for the account.",
			[]label{{"by", []string{"address", "account"}}}, func(m *Metrics, to sink) {
				ofThrottle(m, func(s throttle.Stats) {
					to.value(float64(s.RefusedByAddress), "address")
					to.value(float64(s.RefusedByAccount), "account")
				})
			}},
		{"latchkey_throttle_entries", gauge, "Addresses, accounts and pairs of them that have failed logins against them.",
			nil, func(m *Metrics, to sink) { ofThrottle(m, func(s throttle.Stats) { to.value(float64(s.Entries)) }) }},
	}
}

func callLabel() label {
	var names []string
	for _, k := range watched.Kinds() {
		names = append(names, k.String())
	}
	return label{"call", names}
}

func storeFamilies() []family {
	return []family{
		{"latchkey_store_duration_seconds", histogram, "How long calls of the database took, waiting for a connection or a turn included. lookup is what a check needs; update is a transaction; follow reads the change log.",
			[]label{callLabel()}, func(m *Metrics, to sink) {
				for _, kind := range watched.Kinds() {
					to.histogram(m.calls[kind].took.Snapshot(), float64(time.Second), kind.String())
				}
			}},
		{"latchkey_store_errors_total", counting, "Calls of the database that failed because it cannot be reached, is full, read-only or too slow.",
			[]label{callLabel()}, func(m *Metrics, to sink) {
				for _, kind := range watched.Kinds() {
					to.value(float64(m.calls[kind].failed.Load()), kind.String())
				}
			}},
		{"latchkey_store_commit_callers", histogram, "How many callers shared one commit. With SQLite only.",
			nil, func(m *Metrics, to sink) {
				if s := m.commits.Snapshot(); s.Count > 0 {
					to.histogram(s, 1)
				}
			}},
	}
}

// ofAudit is the reader of a number that the audit log counts.
func ofAudit(read func(audit.Stats) float64) func(*Metrics, sink) {
	return one(func(m *Metrics) (float64, bool) {
		if m.from().Audit == nil {
			return 0, false
		}
		return read(m.from().Audit()), true
	})
}

func auditFamilies() []family {
	return []family{
		{"latchkey_audit_waiting", gauge, "Events that are not written yet. Those of operations that write are written with them and never wait.",
			nil, ofAudit(func(s audit.Stats) float64 { return float64(s.Waiting) })},
		{"latchkey_audit_events_total", counting, "Events that were taken to be written.",
			nil, ofAudit(func(s audit.Stats) float64 { return float64(s.Recorded) })},
		{"latchkey_audit_tallied_total", counting, "Events that anybody can cause in any number, such as refusals of unknown tokens, which were counted by address and reason instead of kept one by one.",
			nil, ofAudit(func(s audit.Stats) float64 { return float64(s.Tallied) })},
		{"latchkey_audit_gathered_total", counting, "Events that are only counted in another one, because so many waited. What is told apart by account, token and address under normal load is not under this.",
			nil, ofAudit(func(s audit.Stats) float64 { return float64(s.Gathered) })},
		{"latchkey_audit_written_total", counting, "Rows that were written.",
			nil, ofAudit(func(s audit.Stats) float64 { return float64(s.Written) })},
		{"latchkey_audit_write_failures_total", counting, "Writes that failed. What was in them waits on.",
			nil, ofAudit(func(s audit.Stats) float64 { return float64(s.Failures) })},
	}
}

func serverFamilies() []family {
	return []family{
		{"latchkey_ready", gauge, "1 while the server does its work: the database answers, the change log is followed, and nobody has told it to stop.",
			nil, one(func(m *Metrics) (float64, bool) {
				return truth(m.from().Ready != nil && m.from().Ready()), m.from().Ready != nil
			})},
		{"latchkey_connections_open", gauge, "Connections of clients. Those that switched to another protocol, such as WebSocket, are not counted.",
			nil, one(func(m *Metrics) (float64, bool) {
				gone := m.disconnected.Value() // first, so that the difference is never negative
				return float64(m.connected.Value() - gone), true
			})},
		{"latchkey_connections_total", counting, "Connections that clients have opened.",
			nil, one(func(m *Metrics) (float64, bool) { return float64(m.connected.Value()), true })},
		{"latchkey_config_reloads_total", counting, "Attempts to read the configuration again, by outcome.",
			[]label{{"outcome", []string{"failed", "ok"}}}, func(m *Metrics, to sink) {
				to.value(float64(m.reloads[0].Load()), "failed")
				to.value(float64(m.reloads[1].Load()), "ok")
			}},
		{"latchkey_config_last_reload_successful", gauge, "1 if the last attempt to read the configuration was good; 0 while an older one is in force because of mistakes in the new one.",
			nil, one(func(m *Metrics) (float64, bool) { return truth(m.lastGood.Load()), true })},
		{"latchkey_config_last_reload_success_timestamp_seconds", gauge, "When the configuration in force was read.",
			nil, one(func(m *Metrics) (float64, bool) { return float64(m.reloaded.Load()), true })},
		{"latchkey_spans_total", counting, "Spans of traces, by whether the collector took them. Only with traces.endpoint.",
			[]label{{"outcome", []string{"failed", "sent"}}}, func(m *Metrics, to sink) {
				if m.from().Spans == nil {
					return
				}
				sent, failed := m.from().Spans()
				to.value(float64(failed), "failed")
				to.value(float64(sent), "sent")
			}},
		{"latchkey_tls_certificate_not_after_timestamp_seconds", gauge, "When the certificate of the listener ends. Only with tls.cert.",
			nil, one(func(m *Metrics) (float64, bool) {
				if m.from().Certificate == nil {
					return 0, false
				}
				return float64(m.from().Certificate().UnixNano()) / float64(time.Second), true
			})},
	}
}
