package accounts

import "github.com/latchkey-auth/latchkey/internal/fault"

// LoginOutcomes names what logins lead to, in the order of [Service.Logins].
func LoginOutcomes() []string { return []string{"ok", "refused", "throttled", "unavailable"} }

// Logins returns how many logins led to each of the [LoginOutcomes] since the
// service was made.
func (s *Service) Logins() []int64 {
	n := make([]int64, len(s.logins))
	for i := range s.logins {
		n[i] = s.logins[i].Load()
	}
	return n
}

func (s *Service) countLogin(err error) {
	switch {
	case err == nil:
		s.logins[0].Add(1)
	case fault.Is(err, fault.Unauthenticated):
		s.logins[1].Add(1)
	case fault.Is(err, fault.Throttled):
		s.logins[2].Add(1)
	default:
		s.logins[3].Add(1)
	}
}
