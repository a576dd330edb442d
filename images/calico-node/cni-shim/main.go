// The CNI plugin that the runtime executes: it hands its environment and stdin to the agent on this
// node and prints the agent's answer. Installed as `calico` and as `calico-ipam`; it parses nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	socket  = "/var/run/calico/cni.sock"
	version = "0.1.0"
	// CNI SPEC: 11, try again later.
	tryAgain = 11
	patience = 90 * time.Second
)

const versions = `["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0"]`

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Println(version)
		return
	}
	stdin, err := io.ReadAll(os.Stdin)
	if os.Getenv("CNI_COMMAND") == "VERSION" {
		fmt.Printf(`{"cniVersion":%q,"supportedVersions":%s}`, asked(stdin), versions)
		return
	}
	if err == nil {
		err = call(stdin)
	}
	if err != nil {
		msg := fmt.Sprintf("the calico-node agent on this node does not answer (%v); check that the calico-node pod is running", err)
		text, _ := json.Marshal(msg)
		fmt.Printf(`{"cniVersion":%q,"code":%d,"msg":%s}`, asked(stdin), tryAgain, text)
		os.Exit(1)
	}
}

// call forwards the request, copies the answer to stdout and exits as the agent says.
func call(stdin []byte) error {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "CNI_") {
			env[name] = value
		}
	}
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(patience))
	request := map[string]any{"type": filepath.Base(os.Args[0]), "env": env, "stdin": string(stdin)}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return err
	}
	conn.(*net.UnixConn).CloseWrite()
	reader := bufio.NewReader(conn)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return err
	}
	var head struct{ Exit int }
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	answer, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	os.Stdout.Write(answer)
	os.Exit(head.Exit)
	return nil
}

// asked is the version of the configuration, for answers that the agent does not make.
func asked(stdin []byte) string {
	var conf struct{ CNIVersion string }
	if json.Unmarshal(stdin, &conf) != nil || conf.CNIVersion == "" {
		return "0.2.0"
	}
	return conf.CNIVersion
}
