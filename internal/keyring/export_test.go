package keyring

import "github.com/latchkey-auth/latchkey/internal/identity"

var admin = &identity.Identity{AccountID: "acc_admin", Name: "admin"}
