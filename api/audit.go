package api

import "time"

// AuditHead names a state of the audit log: GET /audit/head. With Head anybody
// can tell later that nothing up to it was cut off or rewritten, and with Keys
// check an export.
type AuditHead struct {
	Head string            `json:"head"` // "" when nothing is sealed yet
	Keys map[string]string `json:"keys"` // Ed25519 keys in hexadecimal, by their ids
}

// AuditFinding is something that is wrong with the audit log.
type AuditFinding struct {
	Kind  string `json:"kind"`            // "changed", "missing", "moved", "inserted", "unsealed", "seal_changed", "seal_missing", "cut", "trim_changed", "unknown_key", "form"
	Seal  int64  `json:"seal,omitempty"`  // its number
	Place int64  `json:"place,omitempty"` // of the event
	Event string `json:"event,omitempty"` // its id
	Text  string `json:"text"`
}

// AuditAnchor is a head that was kept outside of the database.
type AuditAnchor struct {
	Source string `json:"source"` // "server": this server has seen it; "given": the caller has
	Head   string `json:"head"`
	Fits   bool   `json:"fits"`
}

// AuditReport is the outcome of a verification.
type AuditReport struct {
	Intact bool `json:"intact"` // nothing is wrong

	Events    int64 `json:"events"` // that were verified
	Seals     int64 `json:"seals"`
	FirstSeal int64 `json:"first_seal,omitempty"`
	LastSeal  int64 `json:"last_seal,omitempty"`
	Omitted   int64 `json:"omitted,omitempty"`  // events that an export has by their hash alone
	Unsealed  int64 `json:"unsealed,omitempty"` // events that were written meanwhile

	// Through is the time up to which events were removed for their age, and
	// Removed how many; the log is complete from there on.
	Through *time.Time `json:"removed_through,omitempty"`
	Removed int64      `json:"removed,omitempty"`

	Head string `json:"head,omitempty"` // of what was verified

	// Anchors are what says that the end was not cut off; without one nothing
	// does.
	Anchors []AuditAnchor `json:"anchors,omitempty"`

	// OwnKeys says that an export was verified with the keys that stand in it,
	// which proves no more than that it is consistent.
	OwnKeys bool `json:"own_keys,omitempty"`

	Findings []AuditFinding `json:"findings,omitempty"` // the first thousand
	More     int64          `json:"more_findings,omitempty"`
}

// AuditProgress is a line of the answer to GET /audit/verify, which comes in
// lines of JSON. The last one has the report, or the error that ended it.
type AuditProgress struct {
	Events int64        `json:"events,omitempty"`
	Report *AuditReport `json:"report,omitempty"`
	Error  string       `json:"error,omitempty"`
}

// Kinds of lines of an export. It begins with one start, ends with one end, and
// has the lines of a seal's events in front of the seal's.
const (
	AuditStart   = "start"
	AuditEvent   = "event"
	AuditOmitted = "omitted" // an event that was not asked for, but that its seal vouches for
	AuditSeal    = "seal"
	AuditEnd     = "end"
)

// AuditExportStart is the first line of an export: GET /audit/export.
type AuditExportStart struct {
	Type    string            `json:"type"`
	Version int               `json:"version"` // 1
	Since   *time.Time        `json:"since,omitempty"`
	Until   *time.Time        `json:"until,omitempty"`
	Keys    map[string]string `json:"keys"` // as [AuditHead] has them
}

// AuditExportEvent is a line about an event.
type AuditExportEvent struct {
	Type  string `json:"type"`
	Place int64  `json:"place"`
	Hash  string `json:"hash"`           // SHA-256 in hexadecimal, for which the seal vouches
	Code  []byte `json:"code,omitempty"` // by which the server knows that it wrote it, in base64
	Event
}

// AuditExportOmitted is a line about an event that was left out.
type AuditExportOmitted struct {
	Type  string `json:"type"`
	Place int64  `json:"place"`
	Hash  string `json:"hash"`
}

// AuditExportSeal is a line about a seal. Bytes are in base64.
type AuditExportSeal struct {
	Type      string    `json:"type"`
	Number    int64     `json:"number"`
	At        time.Time `json:"at"`
	Previous  []byte    `json:"previous"`
	Members   string    `json:"members"`
	Count     int       `json:"count"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Root      []byte    `json:"root"`
	Tags      []byte    `json:"tags"`
	Adopted   bool      `json:"adopted,omitempty"`
	Key       string    `json:"key"`
	Signature []byte    `json:"signature"`
}

// AuditExportEnd is the last line of an export.
type AuditExportEnd struct {
	Type   string `json:"type"`
	Events int64  `json:"events"` // without those that were omitted
	Seals  int64  `json:"seals"`
	Head   string `json:"head,omitempty"` // of the last seal in it
	Error  string `json:"error,omitempty"`
}
