// Spawns CNI plugins as a runtime does, cheaply: one round is one JSON line on stdin, its figures
// one JSON line on stdout. The processes are made with vfork, so that the spawner's size costs nothing.
// Every worker does one thing after the other in its own thread: what it cost would be each side's cost.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
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
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
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

// A pipe holds what goes in and what comes out, so that nothing runs beside the plugin: the
// configuration is there before it starts, and its answer is read when it has ended.
const pipeBytes = 1 << 16

func call(file, config string, environment map[string]string) (float64, *syscall.Rusage, error) {
	variables := make([]string, 0, len(environment))
	for name, value := range environment {
		variables = append(variables, name+"="+value)
	}
	start := time.Now()
	usage, status, output, err := spawn(file, config, variables)
	milliseconds := float64(time.Since(start).Nanoseconds()) / 1e6
	if err == nil && status != 0 {
		err = fmt.Errorf("%s %s: exit %d: %s", file, environment["CNI_COMMAND"], status, output)
	}
	return milliseconds, usage, err
}

func spawn(file, config string, environment []string) (*syscall.Rusage, int, []byte, error) {
	var stdin, stdout [2]int
	if err := errors.Join(syscall.Pipe2(stdin[:], syscall.O_CLOEXEC), syscall.Pipe2(stdout[:], syscall.O_CLOEXEC)); err != nil {
		return nil, 0, nil, err
	}
	defer syscall.Close(stdout[0])
	_, err := syscall.Write(stdin[1], []byte(config))
	syscall.Close(stdin[1])
	if err == nil {
		files := []uintptr{uintptr(stdin[0]), uintptr(stdout[1]), 2}
		var pid int
		pid, err = syscall.ForkExec(file, []string{file}, &syscall.ProcAttr{Env: environment, Files: files})
		syscall.Close(stdin[0])
		syscall.Close(stdout[1])
		if err == nil {
			return wait(pid, stdout[0])
		}
	}
	return nil, 0, nil, err
}

func wait(pid, stdout int) (*syscall.Rusage, int, []byte, error) {
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		_, err := syscall.Wait4(pid, &status, 0, &usage)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			return nil, 0, nil, err
		}
	}
	output := make([]byte, pipeBytes)
	count, err := syscall.Read(stdout, output)
	return &usage, status.ExitStatus(), output[:max(count, 0)], err
}
