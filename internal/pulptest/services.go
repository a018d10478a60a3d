package pulptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// The names of Pulp's services, for AccessLog and in messages.
const (
	// API is the REST API, which also serves the container registry and the Galaxy API.
	API = "pulpcore-api"
	// Content is the content app, which serves downloads.
	Content = "pulpcore-content"
	// Worker runs tasks. It serves nothing.
	Worker = "pulpcore-worker"
)

// sockets are the listening sockets that the two servers inherit, so that no port can be lost to somebody else between
// choosing it and serving on it.
type sockets struct{ api, content socket }

type socket struct {
	address string
	file    *os.File
}

func (s socket) url() string { return "http://" + s.address }

func listen(all bool) (sockets, error) {
	var s sockets
	host := "127.0.0.1"
	if all {
		host = "0.0.0.0"
	}
	for _, to := range []*socket{&s.api, &s.content} {
		l, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
		if err != nil {
			return sockets{}, errors.Join(err, s.close())
		}
		to.address = strings.Replace(l.Addr().String(), host, "127.0.0.1", 1)
		to.file, err = l.(*net.TCPListener).File()
		l.Close() // the file is a copy
		if err != nil {
			return sockets{}, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s sockets) close() error {
	var errs []error
	for _, socket := range []socket{s.api, s.content} {
		if socket.file != nil {
			errs = append(errs, socket.file.Close())
		}
	}
	return errors.Join(errs...)
}

// startServices starts Pulp's three kinds of processes and waits until each has reported itself to the database.
func (p *Pulp) startServices(ctx context.Context, ports sockets) error {
	err := errors.Join(
		p.startServer(API, ports.api, max(p.opts.APIWorkers, 1)),
		p.startServer(Content, ports.content, 1),
		p.startProcess(Worker, nil),
	)
	if err != nil {
		return err
	}
	// From here on the sockets belong to the servers alone: when a server dies, its port must refuse connections.
	if err := ports.close(); err != nil {
		return err
	}
	return proctest.WaitFor(ctx, p.ready, p.processes...)
}

// startServer starts one of the two gunicorn servers on an inherited socket, which is file descriptor 3.
func (p *Pulp) startServer(name string, on socket, workers int) error {
	return p.startProcess(name, []*os.File{on.file},
		"--bind", "fd://3",
		"--workers", strconv.Itoa(workers),
		"--access-logfile", p.accessLogPath(name),
		"--control-socket", p.path(name+".ctl"), // by default both servers want the same one
	)
}

func (p *Pulp) startProcess(name string, files []*os.File, args ...string) error {
	process, err := proctest.Start(proctest.Spec{
		Name: name, Path: p.Program(name), Args: args, Env: p.Env, Dir: p.Dir, Files: files,
		LogPath: p.path("log", name+".log"), DeathSignal: syscall.SIGTERM,
	})
	if err != nil {
		return err
	}
	p.processes = append(p.processes, process)
	return nil
}

// AccessLog returns the access log of API or Content so far: one line for each answered request.
func (p *Pulp) AccessLog(service string) string {
	b, err := os.ReadFile(p.accessLogPath(service))
	if err != nil && !errors.Is(err, os.ErrNotExist) { // it is made at the first request
		return err.Error()
	}
	return string(b)
}

func (p *Pulp) accessLogPath(service string) string { return p.path("log", service+".access.log") }

// ready asks Pulp's status page, which needs no login, whether all processes are there.
func (p *Pulp) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.APIURL+apiRoot+"status/", nil)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var status struct {
		Workers []any `json:"online_workers"`
		API     []any `json:"online_api_apps"`
		Content []any `json:"online_content_apps"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return fmt.Errorf("status page: %s: %w", resp.Status, err)
	}
	if len(status.Workers) == 0 || len(status.API) < max(p.opts.APIWorkers, 1) || len(status.Content) == 0 {
		return fmt.Errorf("online are %d task workers, %d API workers, %d content apps",
			len(status.Workers), len(status.API), len(status.Content))
	}
	return nil
}

// httpClient never uses a proxy: all of this is on loopback.
var httpClient = &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: time.Minute}
