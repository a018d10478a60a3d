package jose

import "math/big"

// rocaPrimes are those by which the moduli of a widespread generator of weak
// RSA keys are known (CVE-2017-15361): it made each prime as k*M + 65537^a mod
// M, where M is a product of small primes, so that the modulus is a power of
// 65537 by each of them.
var rocaPrimes = [...]int64{
	11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
}

// roca reports whether a modulus is of that kind, so that it can be factored.
// Of random ones one in 200 million looks like it.
func roca(n *big.Int) bool {
	rest := new(big.Int)
	for _, p := range rocaPrimes {
		want := rest.Mod(n, big.NewInt(p)).Int64()
		power := int64(1)
		for range p {
			if power == want {
				break
			}
			power = power * 65537 % p
		}
		if power != want {
			return false
		}
	}
	return true
}
