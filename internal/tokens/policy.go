package tokens

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// Life is how long the tokens of a class may live.
type Life struct {
	Default time.Duration // when nothing else is asked for; 0: no end
	Max     time.Duration // the longest that may be asked for; 0: any, and no end too

	// Idle is after how long without use a token ends when nothing else is
	// asked for; 0: never.
	Idle time.Duration
}

// Policy is the rules of life of all tokens. Zero fields take the defaults of
// [DefaultPolicy].
type Policy struct {
	Classes       map[Class]Life
	MaxPerAccount int // live tokens of one account; default 1,000; negative: any number

	// MaxOverlap bounds for how long the old secret of a rotation may live on.
	MaxOverlap time.Duration

	// Leeway is for how long a used refresh token gets the same successor once
	// more, for clients that did not hear the answer; default 10 s; negative: it
	// never does. KeepReused leaves a family alive whose used refresh token
	// comes back later; by default that ends it.
	Leeway     time.Duration
	KeepReused bool

	// Audiences are the services for which access tokens may be asked for,
	// beside this server's own doors.
	Audiences []string
}

// DefaultPolicy returns what is in force without any configuration: personal
// tokens live 90 days and at most a year, robots' a year and at most two, and
// neither ends for being unused, unless that is asked for. A family of refresh
// tokens lives 30 days, or until it is unused for 14, and access tokens live 5
// minutes, and at most an hour. A registry client's refresh token lives 90 days,
// or until it is unused for 30.
func DefaultPolicy() Policy {
	return Policy{
		Classes: map[Class]Life{
			Personal: {Default: 90 * day, Max: 366 * day},
			Robot:    {Default: 365 * day, Max: 731 * day},
			Refresh:  {Default: 30 * day, Max: 366 * day, Idle: 14 * day},
			Access:   {Default: 5 * time.Minute, Max: time.Hour},
			Registry: {Default: 90 * day, Max: 366 * day, Idle: 30 * day},
		},
		MaxPerAccount: 1000,
		MaxOverlap:    7 * day,
		Leeway:        10 * time.Second,
	}
}

func (p Policy) withDefaults() (Policy, error) {
	d := DefaultPolicy()
	for class, life := range p.Classes {
		if _, known := d.Classes[class]; !known {
			return Policy{}, fmt.Errorf("there is no token class %q", class)
		}
		if life.Default < 0 || life.Max < 0 || life.Idle < 0 {
			return Policy{}, fmt.Errorf("the life of %s tokens has a negative time", class)
		}
		if life.Max != 0 && (life.Default == 0 || life.Default > life.Max) {
			return Policy{}, fmt.Errorf("the default life of %s tokens is longer than the longest", class)
		}
		d.Classes[class] = life
	}
	if p.MaxPerAccount != 0 {
		d.MaxPerAccount = p.MaxPerAccount
	}
	if p.MaxOverlap < 0 {
		return Policy{}, fmt.Errorf("the longest overlap of rotations is negative")
	}
	if p.MaxOverlap != 0 {
		d.MaxOverlap = p.MaxOverlap
	}
	if p.Leeway != 0 {
		d.Leeway = max(p.Leeway, 0)
	}
	if access := d.Classes[Access]; access.Default <= 0 || access.Max <= 0 {
		return Policy{}, fmt.Errorf("access tokens need an end")
	}
	d.KeepReused, d.Audiences = p.KeepReused, p.Audiences
	return d, nil
}
