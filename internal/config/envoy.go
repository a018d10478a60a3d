package config

import "strings"

// Envoy is the listener for Envoy's external authorization over gRPC.
type Envoy struct {
	Listen string `key:"listen" doc:"Where Envoy asks over gRPC (grpc_service): host:port. It is HTTP/2 without TLS, so loopback, or a network that only Envoy is in; Envoy's address must be one of trusted_proxies. Empty: nowhere. Over HTTP Envoy asks at listen, below /latchkey/envoy."`
}

// envoy checks where Envoy asks.
func (v *validation) envoy() {
	listen := v.c.Envoy.Listen
	switch {
	case listen == "":
		return
	case strings.HasPrefix(listen, "unix:"):
		v.wrong("envoy.listen", "want host:port: Envoy is believed by its address, which there is none of on a socket")
		return
	}
	if _, port, ok := hostPort(listen); !ok || !isPort(port) {
		v.wrong("envoy.listen", "want host:port, such as 127.0.0.1:9191")
	}
	if listen == v.c.Listen && !strings.HasSuffix(listen, ":0") {
		v.wrong("envoy.listen", "this is where the server itself listens; gRPC needs an address of its own")
	}
	if len(v.c.TrustedProxies) == 0 {
		v.wrong("envoy.listen", "set trusted_proxies to Envoy's address: without it everything that Envoy asks is refused")
	}
}
