// Spawns CNI plugins as a runtime does, cheaply: one round is one JSON line on stdin, its figures
// one JSON line on stdout. The processes are made with vfork, so that the spawner's size costs nothing.
// As many workers as calls run beside each other are processes of their own: Go lets one thread of a
// process start another program at a time (syscall.ForkLock), and calls would wait for each other in here.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
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
	Times   []float64 `json:"times"` // by call; a worker's: 0 where another one made it
	Wall    float64   `json:"wall"`
	CPU     float64   `json:"cpu"`
	Refusal string    `json:"refusal"`
}

func main() {
	if len(os.Args) > 1 {
		work()
		return
	}
	rounds := json.NewDecoder(os.Stdin)
	for {
		var round Round
		if rounds.Decode(&round) != nil {
			return
		}
		figures, err := run(round)
		if err != nil {
			figures.Refusal = err.Error()
		}
		json.NewEncoder(os.Stdout).Encode(figures)
	}
}

// What a worker has beside its standard files: the numbers of the calls that nobody has made yet, and
// where it says that it is ready.
const (
	queueFile = 3
	readyFile = 4
)

type worker struct {
	command *exec.Cmd
	output  *json.Decoder
}

func run(round Round) (Figures, error) {
	figures := Figures{Times: make([]float64, len(round.Calls))}
	queueEnd, queue, err := os.Pipe()
	if err != nil {
		return figures, err
	}
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		return figures, err
	}
	workers := make([]worker, max(round.Parallel, 1))
	for i := range workers {
		if workers[i], err = startWorker(round, queueEnd, readyEnd); err != nil {
			return figures, err
		}
	}
	queueEnd.Close()
	readyEnd.Close()
	for range workers {
		if _, err := ready.Read(make([]byte, 1)); err != nil {
			return figures, err
		}
	}
	ready.Close()
	numbers := []byte{}
	for i := range round.Calls {
		numbers = binary.NativeEndian.AppendUint32(numbers, uint32(i))
	}
	start := time.Now()
	if _, err := queue.Write(numbers); err != nil {
		return figures, err
	}
	queue.Close()
	for _, worker := range workers {
		var part Figures
		if err := worker.output.Decode(&part); err != nil {
			return figures, err
		}
		figures.add(part)
	}
	figures.Wall = milliseconds(start)
	for _, worker := range workers {
		if err := worker.command.Wait(); err != nil {
			return figures, err
		}
	}
	return figures, nil
}

func (figures *Figures) add(part Figures) {
	for i, time := range part.Times {
		figures.Times[i] += time
	}
	figures.CPU += part.CPU
	if part.Refusal != "" {
		figures.Refusal = part.Refusal
	}
}

func startWorker(round Round, queue, ready *os.File) (worker, error) {
	command := exec.Command(os.Args[0], "worker")
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	command.ExtraFiles = []*os.File{queue, ready}
	input, err := command.StdinPipe()
	if err != nil {
		return worker{}, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return worker{}, err
	}
	if err := command.Start(); err != nil {
		return worker{}, err
	}
	if err := json.NewEncoder(input).Encode(round); err != nil {
		return worker{}, err
	}
	return worker{command, json.NewDecoder(output)}, nil
}

// One call after the other, in one thread.
func work() {
	runtime.LockOSThread()
	var round Round
	if json.NewDecoder(os.Stdin).Decode(&round) != nil {
		os.Exit(1)
	}
	figures := Figures{Times: make([]float64, len(round.Calls))}
	syscall.CloseOnExec(queueFile)
	syscall.CloseOnExec(readyFile)
	runtime.GC() // not meanwhile
	syscall.Write(readyFile, []byte{1})
	number := make([]byte, 4)
	for {
		if count, _ := syscall.Read(queueFile, number); count < len(number) {
			break
		}
		i := binary.NativeEndian.Uint32(number)
		time, usage, err := call(round.File, round.Config, round.Calls[i])
		figures.Times[i] = time
		if usage != nil {
			figures.CPU += float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
		}
		if err != nil {
			figures.Refusal = err.Error()
		}
	}
	json.NewEncoder(os.Stdout).Encode(figures)
}

func milliseconds(since time.Time) float64 {
	return float64(time.Since(since).Nanoseconds()) / 1e6
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
	took := milliseconds(start)
	if err == nil && status != 0 {
		err = fmt.Errorf("%s %s: exit %d: %s", file, environment["CNI_COMMAND"], status, output)
	}
	return took, usage, err
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
