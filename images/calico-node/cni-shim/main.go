// The CNI plugin that the runtime executes: it hands its environment and stdin to the agent on this
// node and prints the agent's answer. Installed as `calico` and as `calico-ipam`; it parses nothing.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	version  = "0.1.0"
	tryAgain = 11 // CNI SPEC, well-known error codes
	patience = 90 * time.Second
)

var supported = strings.Fields("0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0")

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Println(version)
		return
	}
	stdin, _ := io.ReadAll(os.Stdin)
	var conf struct{ CNIVersion string }
	if json.Unmarshal(stdin, &conf) != nil || conf.CNIVersion == "" {
		conf.CNIVersion = "0.2.0" // what a missing version means
	}
	if os.Getenv("CNI_COMMAND") == "VERSION" {
		print(map[string]any{"cniVersion": conf.CNIVersion, "supportedVersions": supported})
		return
	}
	exit, err := call(string(stdin))
	if err != nil {
		msg := fmt.Sprintf("the calico-node agent does not answer (%v); check that its pod is running", err)
		print(map[string]any{"cniVersion": conf.CNIVersion, "code": tryAgain, "msg": msg})
	}
	os.Exit(exit)
}

func print(value any) { json.NewEncoder(os.Stdout).Encode(value) }

// call forwards the request, prints the answer and tells the exit code.
func call(stdin string) (int, error) {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "CNI_") {
			env[name] = value
		}
	}
	socket := cmp.Or(os.Getenv("CALICO_CNI_SOCKET"), "/var/run/calico/cni.sock")
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return 1, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	request := map[string]any{"type": filepath.Base(os.Args[0]), "env": env, "stdin": stdin}
	json.NewEncoder(conn).Encode(request) // a failure shows when no answer comes
	conn.(*net.UnixConn).CloseWrite()
	reader := bufio.NewReader(conn)
	var head struct{ Exit int }
	header, err := reader.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(header, &head)
	}
	answer, broken := io.ReadAll(reader)
	if err = errors.Join(err, broken); err != nil {
		return 1, err
	}
	_, err = os.Stdout.Write(answer)
	return head.Exit, err
}
