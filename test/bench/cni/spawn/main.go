// Spawns CNI plugins as a runtime does, cheaply: one round is one JSON line on stdin, its figures
// one JSON line on stdout. The processes are made with vfork, so that the spawner's size costs nothing.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Round is one command for every attachment, `Parallel` at a time.
type Round struct {
	File     string
	Config   string
	Parallel int
	Calls    []map[string]string // the environment of each
}

// Figures are exec to exit in milliseconds, and the CPU of the processes and their children.
type Figures struct {
	Times   []float64 `json:"times"`
	Wall    float64   `json:"wall"`
	CPU     float64   `json:"cpu"`
	Refusal string    `json:"refusal"`
}

func main() {
	lines := json.NewDecoder(os.Stdin)
	for {
		var round Round
		if lines.Decode(&round) != nil {
			return
		}
		json.NewEncoder(os.Stdout).Encode(run(round))
	}
}

func run(round Round) Figures {
	figures := Figures{Times: make([]float64, len(round.Calls))}
	queue := make(chan int, len(round.Calls))
	for i := range round.Calls {
		queue <- i
	}
	close(queue)
	var wait sync.WaitGroup
	var lock sync.Mutex
	start := time.Now()
	for range max(round.Parallel, 1) {
		wait.Go(func() {
			for i := range queue {
				milliseconds, usage, err := call(round.File, round.Config, round.Calls[i])
				lock.Lock()
				figures.Times[i] = milliseconds
				if usage != nil {
					figures.CPU += float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
				}
				if err != nil {
					figures.Refusal = err.Error()
				}
				lock.Unlock()
			}
		})
	}
	wait.Wait()
	figures.Wall = float64(time.Since(start).Nanoseconds()) / 1e6
	return figures
}

func call(file, config string, environment map[string]string) (float64, *syscall.Rusage, error) {
	command := exec.Command(file)
	for name, value := range environment {
		command.Env = append(command.Env, name+"="+value)
	}
	var output bytes.Buffer
	command.Stdin, command.Stdout = bytes.NewBufferString(config), &output
	start := time.Now()
	err := command.Run()
	milliseconds := float64(time.Since(start).Nanoseconds()) / 1e6
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", file, environment["CNI_COMMAND"], err, output.String())
	}
	usage, _ := command.ProcessState.SysUsage().(*syscall.Rusage)
	return milliseconds, usage, err
}
