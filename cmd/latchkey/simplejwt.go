package main

import (
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
)

// simpleJWT makes the options of that dialect; nil when it is off.
func simpleJWT(c config.Config) *simplejwt.Options {
	d := c.Dialects.SimpleJWT
	if !d.Enabled {
		return nil
	}
	return &simplejwt.Options{
		Path: d.Path, UsernameField: d.UsernameField, HeaderTypes: d.HeaderTypes, Leeway: d.Leeway,
		Names: simplejwt.Names{
			User: d.UserClaim, Type: d.TypeClaim, ID: d.IDClaim, Renew: d.SlidingClaim, UserIs: simplejwt.User(d.User),
			Issuer: d.Issuer, Audience: d.Audience,
		},
		Lives:  simplejwt.Lives{Access: d.Access, Refresh: d.Refresh, Sliding: d.Sliding, SlidingRefresh: d.SlidingRefresh},
		Rotate: d.Rotate, Whole: d.Family, Again: c.Tokens.RefreshLeeway,
	}
}
