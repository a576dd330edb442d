//! The CNI plugin that the runtime executes: it hands its environment and stdin to the agent on this
//! node and prints the agent's answer. Installed as `calico` and as `calico-ipam`; it parses nothing but
//! the version to answer in. It needs no library at all: every pod waits twice for it to start.
//!
//! Call:   the plugin's type and each CNI_* variable, every one ended by a zero byte; a zero byte; stdin;
//!         a zero byte.
//! Answer: one byte '0' or '1', the exit code, the bytes for stdout, a zero byte.
#![no_std]
#![no_main]
#![no_builtins]
mod system;

use core::ptr::addr_of_mut;
use system::{connect, exit, print, read, send, Errno, Texts, STDIN};

const VERSION: &[u8] = b"0.1.0\n";
const SUPPORTED: &[u8] = br#"["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]"#;
const SOCKET: &[u8] = b"/var/run/calico/cni.sock";
const PATIENCE_SECONDS: usize = 90;
/// Bound on a call, as the agent has it: configuration and environment are a few kilobytes.
const CALL_BYTES_MAX: usize = 1 << 20;
// CNI SPEC, section "Error": invalid network config; try again later; plugin not available (STATUS).
const INVALID_CONFIG: &[u8] = b"7";
const TRY_AGAIN: &[u8] = b"11";
const NOT_AVAILABLE: &[u8] = b"50";

/// What `-t` asks: could an ADD work now? As Calico's plugin tests its datastore.
const TEST_CALL: &[u8] = b"calico\0CNI_COMMAND=STATUS\0\0";
const TEST_CONFIG: &[u8] =
    br#"{"cniVersion":"1.1.0","name":"test","type":"calico","ipam":{"type":"calico-ipam"}}"#;

/// Memory that no page is used of before it is written: with room for the last zero byte, and for one
/// more that tells a call which is too long.
static mut CALL: [u8; CALL_BYTES_MAX + 2] = [0; CALL_BYTES_MAX + 2];
static mut ANSWER: [u8; 4096] = [0; 4096];

/// A call while it is put together.
struct Call {
    bytes: &'static mut [u8],
    length: usize,
}

impl Call {
    /// What does not fit is left out; `is_too_long` tells.
    fn add(&mut self, bytes: &[u8]) {
        let room = self.bytes.len() - self.length;
        let count = bytes.len().min(room);
        self.bytes[self.length..self.length + count].copy_from_slice(&bytes[..count]);
        self.length += count;
    }

    /// Reads stdin to its end; the runtime gets rid of all of it.
    fn add_stdin(&mut self) {
        while let Ok(count @ 1..) = read(STDIN, &mut self.bytes[self.length..]) {
            self.length += count;
        }
        // SAFETY: nothing else borrows it yet.
        let rest = unsafe { &mut *addr_of_mut!(ANSWER) };
        while self.length == self.bytes.len() && matches!(read(STDIN, rest), Ok(1..)) {}
    }

    fn is_too_long(&self) -> bool {
        self.length > CALL_BYTES_MAX
    }
}

pub fn run(arguments: Texts, environment: Texts) -> ! {
    if arguments.clone().nth(1) == Some(b"-v") {
        print(VERSION);
        exit(0);
    }
    // SAFETY: borrowed once; the process has one thread.
    let mut call = Call { bytes: unsafe { &mut *addr_of_mut!(CALL) }, length: 0 };
    let socket = value_of(environment.clone(), b"CALICO_CNI_SOCKET=").unwrap_or(SOCKET);
    if arguments.clone().nth(1) == Some(b"-t") {
        for part in [TEST_CALL, TEST_CONFIG, b"\0"] {
            call.add(part);
        }
        unanswered(ask(socket, &call.bytes[..call.length]), TEST_CONFIG, NOT_AVAILABLE);
    }
    let program = arguments.clone().next().unwrap_or(b"calico");
    call.add(program.rsplit(|byte| *byte == b'/').next().unwrap_or(program));
    call.add(b"\0");
    for variable in environment.clone().filter(|text| text.starts_with(b"CNI_")) {
        call.add(variable);
        call.add(b"\0");
    }
    call.add(b"\0");
    let head = call.length;
    call.add_stdin();
    let end = call.length;
    let command = value_of(environment.clone(), b"CNI_COMMAND=").unwrap_or(b"");
    if command == b"VERSION" {
        let version = version_in(&call.bytes[head..end]);
        for part in [b"{\"cniVersion\":\"", version, b"\",\"supportedVersions\":", SUPPORTED, b"}\n"] {
            print(part);
        }
        exit(0);
    }
    if call.is_too_long() {
        let why: [&[u8]; 1] = [b"the network configuration with the environment is larger than 1 MiB"];
        fail(&call.bytes[head..end], INVALID_CONFIG, &why);
    }
    call.add(b"\0");
    let why = ask(socket, &call.bytes[..call.length]);
    let code = if command == b"STATUS" { NOT_AVAILABLE } else { TRY_AGAIN };
    unanswered(why, &call.bytes[head..end], code)
}

fn unanswered(why: Errno, stdin: &[u8], code: &[u8]) -> ! {
    let (word, digits) = (word_of(why), decimal(why.0));
    let why: [&[u8]; 5] = [
        b"the calico-node agent does not answer (",
        word,
        b", errno ",
        digits.trim_ascii_start(),
        b"); check that its pod is running",
    ];
    fail(stdin, code, &why)
}

/// Hands the call over, prints the answer and ends the process with its code. Returns when there is none.
fn ask(path: &[u8], call: &[u8]) -> Errno {
    let agent = match connect(path, PATIENCE_SECONDS) {
        Ok(agent) => agent,
        Err(why) => return why,
    };
    // An agent that does not read everything may still have an answer.
    let sent = send(agent, call);
    let mut code = None;
    // SAFETY: stdin has been read; nothing else borrows it any more.
    let buffer = unsafe { &mut *addr_of_mut!(ANSWER) };
    loop {
        let got = read(agent, buffer);
        let Ok(count @ 1..) = got else {
            match code {
                Some(code) => exit(code),
                None => return sent.and(got).err().unwrap_or(CLOSED),
            }
        };
        let mut bytes = &buffer[..count];
        if code.is_none() {
            match bytes[0] {
                byte @ (b'0' | b'1') => code = Some((byte - b'0') as usize),
                _ => return CLOSED,
            }
            bytes = &bytes[1..];
        }
        // The zero byte ends it: the agent closes the connection when it has time.
        let end = bytes.iter().position(|byte| *byte == 0);
        print(&bytes[..end.unwrap_or(bytes.len())]);
        if let (Some(_), Some(code)) = (end, code) {
            exit(code);
        }
    }
}

/// EPIPE: the agent closed the connection.
const CLOSED: Errno = Errno(32);

fn word_of(errno: Errno) -> &'static [u8] {
    match errno.0 {
        2 => b"no socket",
        11 => b"too late",
        13 => b"permission denied",
        32 | 104 => b"connection closed",
        111 => b"connection refused",
        _ => b"failed",
    }
}

/// With blanks before it.
fn decimal(number: usize) -> [u8; 3] {
    [100, 10, 1].map(|unit| if unit > number.max(1) { b' ' } else { b'0' + (number / unit % 10) as u8 })
}

/// Prints the error and ends the process. `why` is plain text without quotes.
fn fail(stdin: &[u8], code: &[u8], why: &[&[u8]]) -> ! {
    for part in [b"{\"cniVersion\":\"", version_in(stdin), b"\",\"code\":", code, b",\"msg\":\""] {
        print(part);
    }
    why.iter().for_each(|part| print(part));
    print(b"\"}\n");
    exit(1)
}

fn value_of(mut environment: Texts, name: &[u8]) -> Option<&'static [u8]> {
    environment.find_map(|text| text.strip_prefix(name))
}

/// The configuration's cniVersion, found by its text; a missing one means 0.2.0.
fn version_in(stdin: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"\"cniVersion\"";
    let value = stdin
        .windows(NAME.len())
        .position(|window| window == NAME)
        .and_then(|at| stdin[at + NAME.len()..].trim_ascii_start().strip_prefix(b":"))
        .and_then(|rest| rest.trim_ascii_start().strip_prefix(b"\""))
        .and_then(|rest| rest.split(|byte| *byte == b'"').next());
    match value {
        Some(version) if !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') => {
            version
        }
        _ => b"0.2.0",
    }
}
